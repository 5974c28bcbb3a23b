"""Sample images to try the pipelines on, in the layout of Caltech-256."""
