"""Preprocessing: one TensorFlow function from an image file's bytes to a model's input.

Validation at ingest, training and serving share it. It imports no packages but TensorFlow and NumPy, which all
environments have. `digest`, `header` and `onednn` import neither of them.
"""
