"""Pictures: tiles, close-ups, colours, measures, contact sheets."""
