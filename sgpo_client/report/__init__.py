"""What people read of a run: the summary, ``report.html``, ``sgpo-train compare``. Needs no torch."""
