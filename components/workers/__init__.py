"""What Spark's Python workers may take, so that those of one machine share it: memory and threads."""
