"""The component maintain_lake: compacts tables, and removes what is no longer needed."""
