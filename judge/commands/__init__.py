"""The verbs of ``sgpo-judge``, one module each: `add_parser` and `main`. Nothing heavy is imported before `main`."""
