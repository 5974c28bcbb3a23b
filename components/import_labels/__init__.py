"""Take in what people answered, and tell whether that is enough to train again."""
