"""Benchmarks and metrics for step-wise judges. The name shadows a builtin: import as ``from eval.x import y``."""
