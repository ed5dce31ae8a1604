"""The HTML page that shows what the codes do, and the hands."""
