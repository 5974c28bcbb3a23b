"""Load new image files from storage into the lake."""
