"""What a run measures and writes down while it goes on."""
