"""Tell people how a pipeline's run ended."""
