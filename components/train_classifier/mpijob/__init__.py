"""Training as an MPIJob.

The ranks run in pods of the trainer image. The task only watches them, in the Spark environment. `options` has the size
and environment of the pods, `manifest` builds the MPIJob, `validation` checks it by the operator's rules, `watch`
follows it to its end, and `launcher` combines these modules.
"""
