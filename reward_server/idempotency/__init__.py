"""A retry gets the reply of its first attempt."""
