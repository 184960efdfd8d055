"""Policies on problem sets: avg@k and maj@k."""
