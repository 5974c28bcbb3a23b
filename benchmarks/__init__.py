"""The figures of speed and of bytes, each beside the reference system's way rebuilt: `make bench`."""
