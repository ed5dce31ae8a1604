"""Tiles on disk and in memory, and batches of them to train on."""
