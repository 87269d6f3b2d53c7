"""What every process knows within a second: PostgreSQL owns it, Redis mirrors it, these modules keep it in memory."""
