"""The check that mutated pictures do no harm, and that ingest and model agree on each."""

from collections import Counter
from collections.abc import Iterable
from typing import Self

import tensorflow as tf

from components.preprocessing.header import image_size
from components.preprocessing.image_validator import ImageValidator
from components.preprocessing.orientation import jpeg_orientation
from components.preprocessing.preprocess import decode, preprocess_batch

MAXIMUM_PIXELS = 1_000_000
# The memory of the process that decodes, beside TensorFlow's: 9 bytes for each pixel, and 256 MiB.
MEMORY_BYTES = 9 * MAXIMUM_PIXELS + 256 * 2**20
_SECONDS = 20
_MODEL_SIZE = 16

_shape = tf.function(lambda content: tf.shape(decode(content)), input_signature=[tf.TensorSpec((), tf.string)])
_inputs = tf.function(
    lambda contents: preprocess_batch(contents, _MODEL_SIZE), input_signature=[tf.TensorSpec((None,), tf.string)]
)


class MutationCheck:
    """Ingest's process for decoding, and a model's input."""

    def __init__(self) -> None:
        # A new interpreter: other tests of this process have used TensorFlow.
        self._validator = ImageValidator(MAXIMUM_PIXELS, MEMORY_BYTES, seconds=_SECONDS, fork=False)
        self._validator.start()
        self._bytes_at_start = self._peak_bytes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._validator.close()

    def run(self, pictures: Iterable[bytes]) -> Counter[str]:
        """Check pictures, and return how many ended how: `images`, or the first words of the reason.

        A picture that ingest accepts is decoded by the model, in the size that its header states. Decoding no picture
        crashes, takes too long, or takes more memory than stated.

        Args:
            pictures: The files.
        """
        outcomes: Counter[str] = Counter()
        for number, content in enumerate(pictures):
            reason, picture = self._validator.picture(content)
            assert (reason is None) == (picture is not None), number
            if picture is None:
                assert reason is not None
                assert not reason.startswith(("the decoder ended", "decoding took more")), (number, reason)
                outcomes[reason.partition(":")[0]] += 1
            else:
                _check_model(picture, number)
                outcomes["images"] += 1
        assert self._peak_bytes() - self._bytes_at_start <= MEMORY_BYTES
        return outcomes

    def _peak_bytes(self) -> int:
        """Return the most memory that the process which decodes has had; 0 if it ended with the last picture."""
        if self._validator.pid is None:
            return 0
        with open(f"/proc/{self._validator.pid}/status") as status:
            peak = next(line for line in status if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 2**10


def _check_model(picture: bytes, number: int) -> None:
    height, width, _ = _shape(tf.constant(picture)).numpy()
    # A GIF's frame may be larger than its canvas.
    if not picture.startswith(b"GIF8"):
        size = (height, width) if jpeg_orientation(picture) >= 5 else (width, height)
        assert image_size(picture) == size, number
    assert height * width <= MAXIMUM_PIXELS, number
    assert _inputs(tf.constant([picture])).shape == (1, _MODEL_SIZE, _MODEL_SIZE, 3)
