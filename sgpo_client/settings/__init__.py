"""The tables of a training configuration, one file each."""
