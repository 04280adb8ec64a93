"""Records in memory and in the state file."""
