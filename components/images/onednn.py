"""TensorFlow's kernels of oneDNN, wherever it computes: in ranks, in Spark's workers and in tasks."""

# By default TensorFlow takes them on processors with AVX-512 only. Asked for, they are the ones on all: a training is
# twice as fast with AVX2, and a model says the same on every node to within rounding. It is read when TensorFlow loads.
ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "1"}
