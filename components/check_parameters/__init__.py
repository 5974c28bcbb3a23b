"""Check the parameters of a run before any other task starts."""
