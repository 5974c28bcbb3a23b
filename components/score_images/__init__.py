"""Score the images that have no label with the champion."""
