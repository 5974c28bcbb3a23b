"""Spark: the session, its executors and Python workers, and what frames and streams have in common."""
