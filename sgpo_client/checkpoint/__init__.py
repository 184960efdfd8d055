"""Checkpoints of a run: written whole or not at all, read at any number of ranks."""
