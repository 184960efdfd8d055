"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# benchmarks/ is not installed; `python -m pytest` finds it, plain pytest would not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Models here are tiny, and a container may be allowed fewer CPUs than it sees.
os.environ.setdefault("OMP_NUM_THREADS", "2")

# How long an example takes says something of the machine, not of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real labelled data: SGPO_DATA_DIR, else ../shared/data beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SGPO_DATA_DIR", default))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set SGPO_DATA_DIR")
    return folder


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The packaged SmolLM2-135M-Instruct as a Hugging Face folder, made by `make weights`."""
    folder = Path(__file__).resolve().parents[1] / "weights" / "SmolLM2-135M-Instruct"
    if not (folder / "config.json").is_file():
        pytest.fail(f"{folder} is missing: run `make weights`")
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Sums in one order: for tests that compare two runs bit by bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_policy(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama with SmolLM2's tokenizer: the trainer's whole path in seconds."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny-policy")
    policy = LlamaForCausalLM(config)
    # A random policy hardly ever breaks a line, and a response of one step leaves a judge nothing to grade: one hidden
    # dimension is the same everywhere, and the line break's logit follows it (a few percent of the tokens, in runs).
    with torch.no_grad():
        embeddings = policy.get_input_embeddings().weight
        embeddings[:, 0] = 0.1
        embeddings[tokenizer.convert_tokens_to_ids("\u010a"), 0] += 2.3
    policy.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
