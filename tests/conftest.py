"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real labelled data: SGPO_DATA_DIR, else ../shared/data beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SGPO_DATA_DIR", default))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set SGPO_DATA_DIR")
    return folder
