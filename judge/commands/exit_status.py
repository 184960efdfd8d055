"""Exit statuses of the command line, and its one way to complain."""

from __future__ import annotations

import sys
from typing import Final

OK: Final = 0
FAILED: Final = 1
"""Something failed on the way; the same command may work later."""
BAD_INPUT: Final = 2
INTERRUPTED: Final = 130


def complain(message: str, status: int) -> int:
    """One line to stderr; gives the status back."""
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return status
