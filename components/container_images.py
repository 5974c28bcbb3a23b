"""The container images that the compiled pipelines name."""

VERSION = "0.1.0"

# The name says `python` because kfp.local warns about every base image that does not.
SPARK = f"image-pipelines/spark-python:{VERSION}"
TRAINER = f"image-pipelines/trainer-python:{VERSION}"
