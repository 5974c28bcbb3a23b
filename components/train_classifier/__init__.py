"""Train a classifier on a training set: Horovod ranks in the trainer environment, started from a KFP task.

`request` is what both environments share. `worker` and what it imports run in the trainer environment only; `train`,
`launchers` and `report` in the Spark environment.
"""
