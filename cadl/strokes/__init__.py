"""Brush strokes: the painter's hand, where strokes lie and move, how they are drawn."""
