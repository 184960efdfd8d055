"""Whether a vLLM server serves this policy: another model or tokenizer is refused before the first response."""

from __future__ import annotations

from typing import Any, Final

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from sgpo_client.errors import ConfigError
from sgpo_client.rollout.vllm_http import VllmHttp
from sgpo_client.rollout.vllm_params import LOGPROBS_MODE

PROBE: Final = (
    "Ann has 3 bags of 4 apples; 3 * 4 = 12.\n\n\tÀ la fin: 1,234.50 € – 数学 🙂 <|im_start|><|endoftext|></s>"
)
"""Words, numbers, white space, several scripts and what many tokenizers have as special tokens."""

_SIZES: Final = (
    *("model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "tie_word_embeddings"),
)
_HOW: Final = "see the first lines of sgpo_client/rollout/vllm_worker.py for the whole command"


async def check_server(
    http: VllmHttp, url: str, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, max_tokens: int
) -> None:
    """Compare what the server says of itself with the policy.

    Args:
        http: of the server.
        url: its base URL, for messages.
        config: of the policy.
        tokenizer: of the policy.
        max_tokens: longest prompt and response together.

    Raises:
        ConfigError: naming what differs.
        SamplerError: when the server is away or is no vLLM in development mode.
    """
    where = f"rollout.vllm.url = '{url}'"
    told = (await http.call("GET", "/server_info?config_format=json")).get("vllm_config", {})
    served = told.get("model_config", {})
    if (told.get("weight_transfer_config") or {}).get("backend") != "sgpo":
        raise ConfigError(
            f"{where}: the server cannot take weights; start it with --weight-transfer-config and "
            f"--worker-extension-cls ({_HOW})"
        )
    [theirs, *_] = (await http.call("POST", "/collective_rpc", {"method": "policy_config"}))["results"]
    _check_model(f"{where}: the server of {served.get('model')!r}", theirs, config.to_dict())
    tokens = await http.call("POST", "/tokenize", {"prompt": PROBE, "add_special_tokens": False})
    if tokens.get("tokens") != tokenizer(PROBE, add_special_tokens=False)["input_ids"]:
        raise ConfigError(
            f"{where}: the server of {served.get('model')!r} has another tokenizer than model.name: the same text has "
            "other token ids; start it with the policy's own folder"
        )
    if (served.get("max_model_len") or max_tokens) < max_tokens:
        raise ConfigError(
            f"{where}: the server takes {served['max_model_len']} tokens (--max-model-len), but "
            f"rollout.max_prompt_tokens + rollout.max_new_tokens = {max_tokens}"
        )
    if served.get("logprobs_mode") != LOGPROBS_MODE:
        raise ConfigError(
            f"{where}: the server gives log-probabilities as {served.get('logprobs_mode')!r}; start it with "
            f"--logprobs-mode {LOGPROBS_MODE} ({_HOW})"
        )


def _check_model(where: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    differing = [
        f"{name} {theirs.get(name)!r} there, {ours[name]!r} here"
        for name in _SIZES
        if name in ours and theirs.get(name) != ours[name]
    ]
    if differing:
        raise ConfigError(
            f"{where} has another model than model.name: {'; '.join(differing)}; start it with the policy's own folder"
        )
