"""What a vLLM server loads so that a trainer can push weights to it over TCP.

vLLM's own transports (NCCL, CUDA IPC) need GPUs on both sides; this one follows the same protocol and runs anywhere.
The server's command:

    VLLM_SERVER_DEV_MODE=1 python -m vllm.entrypoints.openai.api_server --model MODEL
        --logprobs-mode processed_logprobs --generation-config vllm --enable-scale-out
        --worker-extension-cls sgpo_client.rollout.vllm_worker.WeightReceiver
        --weight-transfer-config '{"backend": "sgpo"}'
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

from sgpo_client.rollout.vllm_heads import refresh_tied_heads
from sgpo_client.rollout.weight_stream import WeightOffer, fetch


@dataclass
class NoInit(WeightTransferInitInfo):  # type: ignore[misc]
    """Nothing is agreed on before an update."""


@dataclass
class Update(WeightTransferUpdateInfo):  # type: ignore[misc]
    """The fields of `WeightOffer`."""

    host: str
    port: int
    token: str
    names: list[str]
    dtypes: list[str]
    shapes: list[list[int]]


class TcpWeightEngine(WeightTransferEngine[NoInit, Update]):  # type: ignore[misc]
    """vLLM's side: fetches what the trainer offers and loads it as a checkpoint."""

    init_info_cls = NoInit
    update_info_cls = Update

    def init_transfer_engine(self, init_info: NoInit) -> None:
        """Nothing to do."""

    def start_weight_update(self) -> None:
        """Let the layers take new weights."""
        initialize_layerwise_reload(self.model)

    def update_weights(self, update_info: dict[str, object]) -> None:
        """Fetch and load; unlike vLLM's own it asks for no accelerator to wait for."""
        self.receive_weights(self.parse_update_info(update_info))

    def receive_weights(self, update_info: Update) -> None:
        """Fetch and load all weights."""
        offer = WeightOffer(**{field.name: getattr(update_info, field.name) for field in fields(WeightOffer)})
        self.model.load_weights((name, value.to(self.device)) for name, value in fetch(offer))

    def finish_weight_update(self) -> None:
        """Bring the weights into the form that vLLM computes with."""
        finalize_layerwise_reload(self.model, self.model_config)
        refresh_tied_heads(self.model)

    def shutdown(self) -> None:
        """Nothing is held."""


class WeightReceiver:
    """Worker extension: naming it makes vLLM import this module in its workers."""

    model_runner: Any

    def policy_config(self) -> dict[str, Any]:
        """The configuration of the model that is served, which vLLM itself does not tell."""
        text = self.model_runner.model_config.hf_config.to_json_string(use_diff=False)
        config: dict[str, Any] = json.loads(text)
        return config


# A server's workers know the backend by its name only; vLLM imports this module once in each, before it looks it up.
WeightTransferEngineFactory.register_engine("sgpo", TcpWeightEngine)
