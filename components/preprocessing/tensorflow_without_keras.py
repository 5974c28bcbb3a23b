"""TensorFlow with oneDNN's kernels and without Keras 3, imported in half the time.

Use `from components.preprocessing.tensorflow_without_keras import tf`. By default, the import of TensorFlow also loads
Keras 3, which loads Matplotlib and scikit-learn. `TF_USE_LEGACY_KERAS=1` selects the package of the legacy Keras
instead. Only the trainer environment has this package. In other environments, which do not use Keras, the import then
loads no Keras. After the import, the variable has its previous value, so `tf.keras` loads what that value selects.
"""

import os

from components.preprocessing.onednn import ONEDNN

_VARIABLE = "TF_USE_LEGACY_KERAS"

# Log errors only: TensorFlow's messages about the processor are for people who compile TensorFlow.
for _name, _value in {"TF_CPP_MIN_LOG_LEVEL": "2", **ONEDNN}.items():
    os.environ.setdefault(_name, _value)
_previous = os.environ.get(_VARIABLE)
os.environ[_VARIABLE] = "1"
try:
    import tensorflow as tf
finally:
    if _previous is None:
        del os.environ[_VARIABLE]
    else:
        os.environ[_VARIABLE] = _previous

__all__ = ["tf"]
