"""Commands of rate sheets and of the registry of senders."""
