"""What a stop with a message leaves for ranks that are started again: nothing beyond the launch that it belongs to."""

from __future__ import annotations

import os

from sgpo_client.ranks.launch import STOPPED_FILE, note_stop, noted_stop, stop_noted


def test_a_stop_is_known_for_as_long_as_its_launch() -> None:
    for code in (1, 2):
        with stop_noted():
            assert noted_stop() is None
            note_stop(code)
            assert noted_stop() == code
        assert STOPPED_FILE not in os.environ
    note_stop(1)
    assert noted_stop() is None
