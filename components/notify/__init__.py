"""Report how a pipeline run ended, in the log and by e-mail."""
