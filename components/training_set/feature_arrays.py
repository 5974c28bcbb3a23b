"""The files of features: one for each row group of a segment, `<features>/<key>/<segment>/<number>.npy`."""

from io import BytesIO

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]


def file_name(number: int) -> str:
    """Return the name of the file with the features of a row group.

    Args:
        number: Number of the row group in its segment, from 0.
    """
    return f"{number:05}.npy"


def encode(features: Features) -> bytes:
    """Return the content of a file.

    Args:
        features: Features of all rows of a row group, shape (rows, width).
    """
    buffer = BytesIO()
    np.save(buffer, features)
    return buffer.getvalue()


def decode(content: bytes, rows: int) -> Features | None:
    """Return the features in a file, shape (rows, width), or None if it is damaged.

    Args:
        content: Content of the file.
        rows: Number of rows of the row group.
    """
    try:
        features: Features = np.load(BytesIO(content), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return features if features.ndim == 2 and len(features) == rows and features.dtype == np.float32 else None
