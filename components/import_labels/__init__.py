"""Import people's annotations, and decide whether there are enough new labels to train again."""
