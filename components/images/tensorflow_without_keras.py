"""TensorFlow, imported in half of the time: `from components.images.tensorflow_without_keras import tf`.

Its import loads the newest Keras as well, and that Matplotlib and scikit-learn. Nothing here uses Keras but the
trainer, whose environment has the older one that the variable names; where that is missing, TensorFlow does without.
Whoever asks for `tf.keras` later gets what the variable said before. It computes with oneDNN's kernels.
"""

import os

from components.images.onednn import ONEDNN

_VARIABLE = "TF_USE_LEGACY_KERAS"

for _name, _value in ONEDNN.items():
    os.environ.setdefault(_name, _value)
_given = os.environ.get(_VARIABLE)
os.environ[_VARIABLE] = "1"
try:
    import tensorflow as tf
finally:
    if _given is None:
        del os.environ[_VARIABLE]
    else:
        os.environ[_VARIABLE] = _given

__all__ = ["tf"]
