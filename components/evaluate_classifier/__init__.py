"""Compare a new model with the champion, on images that neither was trained on."""
