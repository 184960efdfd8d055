"""Finished verdicts, kept by content, so that no solution is judged twice."""
