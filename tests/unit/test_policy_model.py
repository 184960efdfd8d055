"""Loading a policy and writing it back: values through a round trip, and errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sgpo_client.errors import ModelError
from sgpo_client.model import export, load_policy, load_tokenizer
from sgpo_client.ranks.distributed import World
from sgpo_client.ranks.fsdp import Sharding, shard
from tests.distributed.spawn import run_here
from tests.distributed.tiny import tiny_model


def _tokenizer(**settings: str) -> PreTrainedTokenizerBase:
    words = Tokenizer(WordLevel({"<eos>": 0, "a": 1, "<pad>": 2}, unk_token="a"))
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>", **settings)


def _export(world: World, folder: Path, tied: bool, dtype: torch.dtype) -> None:
    policy = shard(tiny_model(tied=tied), world, Sharding())
    tokenizer = _tokenizer()
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    export(policy, tokenizer, folder, dtype)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_exported_policy_loads_as_a_normal_model(tied: bool, dtype: torch.dtype, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for _ in range(2):  # the second time replaces the first
        run_here(_export, folder, tied, dtype)
    loaded, expected = load_policy(str(folder), dtype), tiny_model(tied=tied).to(dtype)
    assert loaded.config.architectures == ["LlamaForCausalLM"]
    assert loaded.training
    assert loaded.state_dict().keys() == expected.state_dict().keys()
    assert all(torch.equal(value, expected.state_dict()[name]) for name, value in loaded.state_dict().items())
    ids = torch.arange(10)[None]
    reference = tiny_model(tied=tied)
    for parameter in reference.parameters():  # not model.to(): the rotary frequencies stay float32
        parameter.data = parameter.data.to(dtype)
    assert torch.equal(loaded(ids).logits, reference(ids).logits)
    tokenizer = load_tokenizer(str(folder))
    assert (tokenizer.pad_token, tokenizer.padding_side) == ("<eos>", "left")
    assert AutoTokenizer.from_pretrained(folder).chat_template == "{{ messages[0]['content'] }}"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("load", [lambda name: load_policy(name, torch.float32), load_tokenizer])
def test_a_missing_model_is_named_with_what_to_do(load: object, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.name = 'weights/None': no such folder; run `make weights`"):
        load("weights/None")
    with pytest.raises(ModelError, match=r"model\.name = .*no such folder; give a folder"):
        load(str(tmp_path / "none"))
    with pytest.raises(ModelError, match=r"no config\.json"):
        load(str(tmp_path))


def test_a_tokenizer_without_chat_template_is_refused(tmp_path: Path) -> None:
    _tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelError, match="no chat template; choose an instruction-tuned model"):
        load_tokenizer(str(tmp_path))
