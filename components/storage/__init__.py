"""Where things are and how small files there are read and written: on this machine, in S3, in Azure Data Lake Storage.

Both environments import it: it needs neither pyspark nor TensorFlow.
"""

from components.storage.access import Access
from components.storage.stores import FileStatus, Store, open_store

__all__ = ["Access", "FileStatus", "Store", "open_store"]
