"""The environment variable that enables oneDNN's kernels in ranks, Spark's workers and tasks."""

# By default, TensorFlow uses these kernels on processors with AVX-512 only. On processors with AVX2, they make a
# training twice as fast. If all nodes use them, the scores of a model differ between nodes by rounding only. TensorFlow
# reads the variable when it is imported.
ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "1"}
