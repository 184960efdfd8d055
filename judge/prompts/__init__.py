"""Prompt templates; the package exists so that they are installed."""
