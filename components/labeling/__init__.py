"""The exchange with people who label images: requests, exported batches, sources and formats of annotations."""
