"""Benchmarks of speed, bytes, memory and accuracy: `make bench`."""
