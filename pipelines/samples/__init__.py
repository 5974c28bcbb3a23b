"""Sample images for trying the pipelines, in the layout of Caltech-256."""
