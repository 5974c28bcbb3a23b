"""The pipelines: training, scoring and labeling, their compiled form, and the command line."""
