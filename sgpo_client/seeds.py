"""Seeds that follow from what they are for."""

from __future__ import annotations

import hashlib
import json


def derive_seed(*parts: int) -> int:
    """A seed in [0, 2**63) that depends on all parts and their order."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
