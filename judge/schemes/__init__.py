"""Ways to read step scores from a language model: which ids a solution becomes, where a score is read, and how."""
