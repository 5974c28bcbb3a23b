"""Images: one TensorFlow graph function from a file's bytes to a model's input, and what a saved classifier says.

Ingest's verdict, training and serving all use it. Imports TensorFlow and NumPy only, so that every environment has it;
`components.images.digest` and `components.images.onednn` import neither.
"""
