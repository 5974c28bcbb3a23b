"""Pipelines on a Kubeflow Pipelines server: uploading them, running them, and their recurring runs."""
