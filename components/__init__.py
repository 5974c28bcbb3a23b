"""Kubeflow Pipelines components for image models: one folder per component, and the packages they share."""
