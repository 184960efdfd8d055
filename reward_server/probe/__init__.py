"""``sgpo-serve probe``: be a trainer for a moment, and see what it would see."""
