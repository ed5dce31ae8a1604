"""A video converted: frames analysed, then painted, in passes that can be interrupted."""
