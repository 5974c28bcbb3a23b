"""Read-only SQL over a lake."""
