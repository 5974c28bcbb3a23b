"""A batch of one image is duplicated for the network; other batches are not."""

import numpy as np
import pytest
import tensorflow as tf

from components.preprocessing.lone_image import pair_lone_image


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 2), (2, 2), (3, 3)])
def test_single_image_is_passed_twice(count: int, expected: int) -> None:
    images = np.random.default_rng(0).random((count, 4, 4, 3), np.float32)

    paired = pair_lone_image(tf.constant(images)).numpy()

    assert len(paired) == expected
    np.testing.assert_array_equal(paired[:count], images)
    np.testing.assert_array_equal(paired[count:], images[: expected - count])
