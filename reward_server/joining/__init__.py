"""Single responses joined into their groups."""
