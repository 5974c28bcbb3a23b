"""Train a classifier on a training set.

A KFP task starts Horovod ranks, which run in the trainer environment.
"""
