"""Examine an installation with the functions that the steps use."""
