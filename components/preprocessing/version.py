"""The version of the preprocessing, for code that loads no TensorFlow."""

# Part of the key of cached features and of trainings. Increment it when the output of `preprocess` changes. A model
# contains the graph of its version. Version 1 ignored the orientation in EXIF.
PREPROCESSING_VERSION = 2
