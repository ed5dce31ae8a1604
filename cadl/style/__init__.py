"""What a style is: statistics of codes, maps between them, the file that keeps them."""
