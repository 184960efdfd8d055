"""Other trainers' wire formats, each in its own file."""
