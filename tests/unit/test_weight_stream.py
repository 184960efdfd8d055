"""Weights over a real socket."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sgpo_client.rollout.weight_stream import fetch, local_address, offered

WEIGHTS = {
    "scalar": torch.tensor(1.5),
    "empty": torch.zeros(0, 3),
    "half": torch.randn(257, 33, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16),
    "whole": torch.arange(1 << 20, dtype=torch.float32).reshape(1024, 1024),
}


def test_two_servers_fetch_the_same_bits() -> None:
    with offered(WEIGHTS, "127.0.0.1") as offer:
        for _ in range(2):
            found = dict(fetch(offer))
            assert list(found) == list(WEIGHTS)
            for name, value in WEIGHTS.items():
                assert found[name].dtype == value.dtype
                assert torch.equal(found[name], value)


def test_a_stranger_gets_nothing() -> None:
    with offered(WEIGHTS, "127.0.0.1") as offer, pytest.raises(ConnectionError, match="closed after 0 of 4 bytes"):
        list(fetch(replace(offer, token="00" * 16)))


def test_nothing_is_offered_afterwards() -> None:
    with offered(WEIGHTS, "127.0.0.1") as offer:
        pass
    with pytest.raises(OSError, match="refused"):
        list(fetch(offer))


def test_the_address_that_loopback_is_reached_from() -> None:
    assert local_address("127.0.0.1", 9) == "127.0.0.1"
