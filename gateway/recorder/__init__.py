"""Facts of `{s}:events` into PostgreSQL, exactly once, one leased recorder a shard."""
