"""The model registry: versions of a model, the champion and its predecessors."""
