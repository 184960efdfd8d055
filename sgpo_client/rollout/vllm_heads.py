"""A repair that vLLM needs after its weights were replaced; imported where vLLM runs, without importing it."""

from __future__ import annotations

from torch import nn


def refresh_tied_heads(model: nn.Module) -> None:
    """Let output heads that share the embeddings' weights see the new ones.

    On a CPU vLLM multiplies by a repacked copy of each weight. It repacks the layers that weights were loaded into; a
    tied head is none of them, and would go on with the logits of the old weights.
    """
    modules = list(model.modules())
    owners: dict[int, nn.Module] = {}
    for module in modules:
        weight, method = getattr(module, "weight", None), getattr(module, "quant_method", None)
        if weight is None or method is None:
            continue
        if owners.setdefault(weight.data_ptr(), module) is not module:
            method.process_weights_after_loading(module)
