"""Asking the judge: queue, batches, equal work once, a process of its own that is started again when it dies."""
