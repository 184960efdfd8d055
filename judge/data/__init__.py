"""Labelled data: one loader per source, all to `judge.types.Record`."""
