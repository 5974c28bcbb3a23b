"""Training as an MPIJob: the ranks are pods of the trainer image, and the task that asks for them only watches.

`options` says what is asked for, `manifest` makes the MPIJob of it, `validation` checks it by the operator's own rules,
`watch` follows it to its end, and `launcher` puts them together. Runs in the Spark environment.
"""
