"""What `sluice stoplist` is made of."""
