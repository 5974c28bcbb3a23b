"""Send the images that people should label to where they label them."""
