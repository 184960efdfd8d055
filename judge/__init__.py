"""Step-wise judges: find the first wrong step of a response."""
