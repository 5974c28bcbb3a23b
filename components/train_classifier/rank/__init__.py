"""The ranks of a training.

They run in the trainer environment. Outside this package, only tests and benchmarks import it.
"""
