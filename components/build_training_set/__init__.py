"""Freeze the labeled images of the lake into a training set."""
