"""Text generation for the critic: one runtime per file."""
