"""The judges, one per file, behind the protocol of `judge.judges.base`."""
