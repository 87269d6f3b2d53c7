"""What `sluice top` and `sluice carriers check` see: samples, rates, and the rule that says what limits."""
