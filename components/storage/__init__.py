"""Storage: URIs, and files on this machine, in S3, Azure Data Lake Storage and Google Cloud Storage.

Both environments import it: it needs neither pyspark nor TensorFlow.
"""
