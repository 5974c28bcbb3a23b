"""The class of an image, read from the folders between its source and the file."""
