"""The verbs of ``sgpo-eval``, one module each."""
