"""A key-value cache for decoding that neither copies itself at every token nor keeps finished rows.

The cache of transformers concatenates: at each token all keys and values are copied.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

SPARE_TOKENS: Final = 64
"""Room that is made at once when a layer is full."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A layer of full attention that writes into room kept free behind its last token."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append [B, H, new, D]; returns all keys and values, [B, H, length, D]."""
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if start == 0:
            self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
            self.keys, self.values = key_states[..., :0, :], value_states[..., :0, :]
            self._room = self._grown(self.keys, end), self._grown(self.values, end)
        elif end > self._room[0].shape[-2]:
            self._room = self._grown(self.keys, end), self._grown(self.values, end)
        keys, values = self._room
        keys[..., start:end, :], values[..., start:end, :] = key_states, value_states
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows, in this order; a row may come up several times."""
        length = self.get_seq_length()
        self._room = self._room[0].index_select(0, indices), self._room[1].index_select(0, indices)
        self._show(length)

    def _show(self, length: int) -> None:
        self.keys, self.values = self._room[0][..., :length, :], self._room[1][..., :length, :]

    @staticmethod
    def _grown(states: torch.Tensor, length: int) -> torch.Tensor:
        room = states.new_empty(*states.shape[:-2], length + SPARE_TOKENS, states.shape[-1])
        room[..., : states.shape[-2], :] = states
        return room


def make_cache(config: PreTrainedConfig) -> DynamicCache:
    """An empty cache for a model; its layers with a window or a state stay as transformers has them."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
