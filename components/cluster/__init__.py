"""Access to the cluster that a task runs in.

It imports neither pyspark nor TensorFlow.
"""
