"""What a task knows of the cluster that it runs on. Imports neither pyspark nor TensorFlow."""
