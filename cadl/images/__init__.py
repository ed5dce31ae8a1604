"""Pictures: tiles, close-ups, colours, measures of pictures, contact sheets. Numpy and Pillow."""
