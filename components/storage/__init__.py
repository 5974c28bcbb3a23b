"""Storage: URIs, and files on this machine, in S3 and in Azure Data Lake Storage.

Both environments import it: it needs neither pyspark nor TensorFlow.
"""
