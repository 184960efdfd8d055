"""Making judges from labelled data."""
