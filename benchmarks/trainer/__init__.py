"""What is measured in the trainer environment, where Petastorm, Horovod and the older Keras are."""
