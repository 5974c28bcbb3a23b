"""The component maintain_lake: compact tables, and remove unneeded data."""
