"""Freeze the labelled images of the lake into a training set."""
