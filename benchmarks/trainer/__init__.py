"""Contenders that run in the trainer environment.

Only this environment has Petastorm, Horovod and the older Keras.
"""
