"""The history of an image or of a model version, as text and as a page."""
