"""Contenders of the training feed, from Parquet files to batches of tensors."""

import io
import os
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf
from petastorm import TransformSpec, make_batch_reader
from petastorm.tf_utils import make_petastorm_dataset
from PIL import Image

from benchmarks.timing import seconds
from components.preprocessing.preprocess import preprocess
from components.storage.files import Files
from components.train_classifier.rank.feed import ImageFeed, reader_options
from components.train_classifier.rank.order import block_order
from components.train_classifier.rank.row_groups import RowGroupReader
from components.train_classifier.rank.shards import Shard
from components.train_classifier.rank.steps import in_steps
from components.training_set.manifest import SplitName, TrainingSet

_BATCH = 32


def contenders(training_set: str, size: int) -> dict[str, Callable[[], float]]:
    """Return the feeds, each as a function that makes a pass and returns images/s.

    Args:
        training_set: URI of the training set.
        size: Side of the model's input, in pixels.
    """
    members = TrainingSet.read(training_set, Files())
    count = members.counts[SplitName.TRAIN]
    passes: dict[str, Callable[[], int]] = {
        "ours": _image_feed(members, size),
        "reference": partial(_transform_spec, members, size),
        "limit": _decode_and_resize(members, size),
    }

    for make_pass in passes.values():
        _rate(make_pass, count)
    return {name: partial(_rate, make_pass, count) for name, make_pass in passes.items()}


def _rate(make_pass: Callable[[], int], images: int) -> float:
    counts: list[int] = []
    duration = seconds(lambda: counts.append(make_pass()))
    if counts != [images]:
        raise RuntimeError(f"the feed delivered {counts[0]} images instead of {images}")
    return images / duration


def _image_feed(members: TrainingSet, size: int) -> Callable[[], int]:
    shard = Shard.of(members, SplitName.TRAIN, rank=0, ranks=1, files=Files())
    feed = ImageFeed(shard, size, [image_class.label for image_class in members.classes], _cores())
    images = members.counts[SplitName.TRAIN]
    batches = in_steps(feed.dataset(seed=0), images, -(-images // _BATCH), _BATCH)
    return lambda: int(sum(tf.reduce_sum(weights).numpy() for _, _, weights in batches))


def _decode_and_resize(members: TrainingSet, size: int) -> Callable[[], int]:
    """Return a pass over images in memory, without reading and without labels."""
    shard = Shard.of(members, SplitName.TRAIN, rank=0, ranks=1, files=Files())
    reader = RowGroupReader(shard, shard.row_groups, lambda epoch: block_order(len(shard.row_groups), None, epoch))
    contents = tf.constant(np.concatenate([rows.contents for rows in reader.read(0)]).tolist(), tf.string)
    reader.close()
    batches = (
        tf.data.Dataset.from_tensor_slices(contents)
        .map(lambda content: preprocess(content, size), num_parallel_calls=_cores(), deterministic=True)
        .batch(_BATCH, num_parallel_calls=_cores())
        .with_options(reader_options(_cores()))
    )
    return lambda: sum(len(images) for images in batches)


def _transform_spec(members: TrainingSet, size: int) -> int:
    """Make a pass like the reference: Petastorm's threads decode with Pillow."""
    spec = TransformSpec(
        lambda frame: _transform(frame, size),
        edit_fields=[("features", np.float32, (size, size, 3), False)],
        selected_fields=["features", "row"],
    )
    with make_batch_reader(
        [members.segment_uri(segment.name) for segment in members.segments_of(SplitName.TRAIN)],
        schema_fields=["content$", "row$"],
        transform_spec=spec,
        shuffle_row_groups=True,
        seed=0,
    ) as reader:
        batches = make_petastorm_dataset(reader).unbatch().batch(_BATCH).prefetch(tf.data.AUTOTUNE)
        return sum(len(batch.features) for batch in batches)


def _transform(frame: pd.DataFrame, size: int) -> pd.DataFrame:
    frame["features"] = frame["content"].map(lambda content: _preprocess_with_pillow(content, size))
    return frame.drop(columns=["content"])


def _preprocess_with_pillow(content: bytes, size: int) -> npt.NDArray[np.float32]:
    """Shrink an image, center it in a white square, and scale to Xception's range."""
    image = Image.open(io.BytesIO(content))
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (size, size), (255, 255, 255))
    square.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    scaled: npt.NDArray[np.float32] = np.asarray(square, np.float32) / 127.5 - 1
    return scaled


def _cores() -> int:
    return len(os.sched_getaffinity(0))
