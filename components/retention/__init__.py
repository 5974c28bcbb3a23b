"""Data that a lake still needs: an inventory of the lake, and retention rules."""
