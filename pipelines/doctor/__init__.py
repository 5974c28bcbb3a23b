"""Examine an installation with the functions that the steps use: what is wrong, and what to do."""
