"""What is cheap to know of a step, as numbers: `text` (what it says), `surprise` (how a language model takes it)."""
