"""Preprocessing against Pillow, an independent implementation."""

import io
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_images

from components.preprocessing import upright
from components.preprocessing.onednn import ONEDNN
from components.preprocessing.orientation import jpeg_orientation
from components.preprocessing.preprocess import preprocess, preprocess_batch
from components.train_classifier.environment import rank_environment
from tests.support.paths import REPOSITORY, TRAINER_PYTHON
from tests.support.sample_pictures import exif, jpeg, lying

PHOTOGRAPHS = dict(zip(("china", "flower"), load_sample_images().images, strict=True))
# Height and width: whole, high, wide, and smaller than some of the targets.
PARTS = [(427, 640), (427, 300), (120, 640), (200, 150), (30, 20)]
SIZES = [299, 224, 128, 71, 32]


def encode(pixels: npt.NDArray[np.uint8], form: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def by_pillow(content: bytes, size: int) -> npt.NDArray[np.float32]:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    image.thumbnail((size, size))
    canvas = Image.new("RGB", (size, size), "white")
    canvas.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return np.asarray(canvas, np.float32)


def by_us(content: bytes, size: int) -> npt.NDArray[np.float32]:
    tensor: npt.NDArray[np.float32] = preprocess(tf.constant(content), size).numpy()
    return tensor


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("part", PARTS, ids=str)
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_images_are_within_2_of_255_of_pillows_thumbnail(name: str, part: tuple[int, int], size: int) -> None:
    content = encode(PHOTOGRAPHS[name][: part[0], : part[1]], quality=95)
    ours, theirs = by_us(content, size), by_pillow(content, size)
    assert np.abs(ours - theirs).mean() <= 2
    # White around a small image would hide a wrong one: the same holds for the pixels that are not white in Pillow's.
    inside = (theirs < 255).any(axis=2)
    assert np.abs(ours - theirs)[inside].mean() <= 4


def test_small_image_is_centered_on_white_and_not_enlarged() -> None:
    pixels = PHOTOGRAPHS["china"][:30, :20]
    tensor = by_us(encode(pixels, "PNG"), 32)
    np.testing.assert_array_equal(tensor[1:31, 6:26], pixels)
    tensor[1:31, 6:26] = 255
    assert (tensor == 255).all()


def test_gray_becomes_rgb() -> None:
    gray = PHOTOGRAPHS["china"].mean(axis=2).astype(np.uint8)
    tensor = by_us(encode(gray), 64)
    assert tensor.shape == (64, 64, 3)
    np.testing.assert_array_equal(tensor[..., 0], tensor[..., 1])
    np.testing.assert_array_equal(tensor[..., 0], tensor[..., 2])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_is_turned_upright_by_its_exif_orientation(orientation: int) -> None:
    turned = jpeg(lying(orientation), exif=exif(orientation))
    np.testing.assert_allclose(by_us(turned, 64), by_us(jpeg(), 64), atol=6)


def test_model_of_preprocessing_version_1_scores_as_it_was_trained() -> None:
    model = tf.saved_model.load(str(REPOSITORY / "tests" / "fixtures" / "model_of_preprocessing_1"))
    with_exif, without = (jpeg(lying(6), **options) for options in ({"exif": exif(6)}, {}))

    scores = model.signatures["serving_default"](content=tf.constant([with_exif, without]))["scores"].numpy()

    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(by_us(with_exif, 64), by_us(without, 64))


@pytest.fixture(scope="module")
def graph_orientation() -> Callable[[bytes], int]:
    function = tf.function(upright.orientation, input_signature=[tf.TensorSpec((), tf.string)])
    return lambda content: int(function(tf.constant(content)))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_graph_and_reports_read_the_same_orientation(
    graph_orientation: Callable[[bytes], int], data: st.DataObject
) -> None:
    order = data.draw(st.sampled_from("<>"))
    tags = st.sampled_from([0x010F, 0x0112, 0x0112, 0x011A])
    kinds, counts, values = st.sampled_from([2, 3, 3, 4]), st.sampled_from([0, 1, 1, 2]), st.integers(0, 9)
    entries = data.draw(st.lists(st.tuples(tags, kinds, counts, values), max_size=4))
    directory = b"".join(struct.pack(f"{order}HHIHH", *entry, 0) for entry in entries)
    start = data.draw(st.sampled_from([8, 8, 8, 10, 2**31, 2**32 - 1]))
    count = len(entries) + data.draw(st.sampled_from([0, 0, 1, 1000]))
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    segment = b"Exif\0\0" + header + bytes(max(0, min(start, 10) - 8)) + struct.pack(f"{order}H", count) + directory
    others = st.sampled_from(
        [b"\xff\xe0\0\x04ab", b"\xff\xfe\0\x02", b"\xff\xe1\0\x04ab", b"\xff\xdb\0\x04ab", b"\0", b"\xff"]
    )
    before = b"".join(data.draw(st.lists(others, max_size=3)))
    cut = data.draw(st.integers(0, len(segment)) | st.just(0))
    content = b"\xff\xd8" + before + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment[: len(segment) - cut]

    assert graph_orientation(content) == jpeg_orientation(content)


def test_transparency_is_dropped() -> None:
    pixels = PHOTOGRAPHS["china"]
    faded = np.dstack([pixels, np.full(pixels.shape[:2], 9, np.uint8)])

    np.testing.assert_array_equal(by_us(encode(faded, "PNG"), 64), by_us(encode(pixels, "PNG"), 64))


def test_animation_is_reduced_to_its_first_frame() -> None:
    frames = [Image.fromarray(PHOTOGRAPHS[name][:40, :40]) for name in ("china", "flower")]
    still, animated = io.BytesIO(), io.BytesIO()
    frames[0].save(still, "GIF")
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])

    assert tf.io.decode_gif(animated.getvalue()).shape[0] == 2
    np.testing.assert_array_equal(by_us(animated.getvalue(), 40), by_us(still.getvalue(), 40))


def test_very_long_image_keeps_a_row_of_pixels() -> None:
    tensor = by_us(encode(np.zeros((1, 2000, 3), np.uint8), "PNG"), 32)
    assert (tensor < 255).any(axis=2).sum() == 32


def test_batch_equals_its_images_one_by_one_bit_for_bit() -> None:
    contents = [encode(PHOTOGRAPHS[name][: part[0], : part[1]]) for name in PHOTOGRAPHS for part in PARTS]
    batch = tf.function(preprocess_batch)(tf.constant(contents), 71).numpy()
    for content, tensor in zip(contents, batch, strict=True):
        np.testing.assert_array_equal(tensor, by_us(content, 71))


def test_tensorflow_loads_keras_on_first_use_only() -> None:
    program = """
import sys, components.preprocessing.preprocess, tensorflow
print({"keras", "matplotlib", "sklearn"} & set(sys.modules), tensorflow.keras.__version__[0])
"""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}

    done = subprocess.run([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)

    assert done.stdout == "set() 3\n"


@pytest.mark.parametrize(
    ("python", "module", "given", "used"),
    [
        (Path(sys.executable), "components.preprocessing.preprocess", {}, True),
        (Path(sys.executable), "components.preprocessing.preprocess", dict.fromkeys(ONEDNN, "0"), False),
        (TRAINER_PYTHON, "tensorflow", {}, True),
    ],
)
def test_tensorflow_uses_onednn_on_every_processor_by_default(
    python: Path, module: str, given: Mapping[str, str], used: bool
) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ONEDNN}
    environment |= {**given, "TF_CPP_MIN_LOG_LEVEL": "0"}
    if python == TRAINER_PYTHON:
        environment = rank_environment(environment)

    done = subprocess.run(
        [python, "-c", f"import {module}"], env=environment, check=True, stderr=subprocess.PIPE, text=True
    )

    assert ("oneDNN custom operations are on" in done.stderr) == used
