"""The model card of a trained critic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from judge.judges.critic_folder import CriticManifest
from judge.train.card import TRAINING_CURVE

TEMPLATE: Final = """\
# Critic: {name}

A step-wise judge: it reads a problem and a numbered solution, and names the first wrong step. Fine-tuned from
`{base_model}` (files {base_digest}) on replies written from first-error labels, the loss on the replies only.

It answers the prompts {prompts} of sgpo and knows steps as segmenter {segmenter} cuts them; another version is refused.

## Use

{use}

## Training

| | |
|---|---|
{rows}

Losses are mean nats per reply token; the weights kept are those of update {kept_step}.

![Losses]({curve})

### Settings

```json
{settings}
```

### Data

Digest {data_digest}.

```json
{data}
```

## Limits

The replies were written from labels: the model learned to say which step is wrong, and why only where a person had
written it down. The losses here are no accuracy; measure it on labelled solutions that were not trained on.
"""

CHECKPOINT_USE: Final = """\
```toml
[judge]
kind = "critic"
backend = "local"
model = "{folder}"
use_reference = {use_reference}
max_tokens = 512
```

or serve the folder with an inference server and give its address (`backend = "openai"`)."""

ADAPTER_USE: Final = """\
This folder is an adapter. Serve it on top of `{base_model}` with a server that loads adapters, and judge with
`kind = "critic"`, `backend = "openai"`."""

SHOWN: Final = (
    "num_updates",
    "num_train",
    "num_validation",
    "skipped",
    "first_loss",
    "last_loss",
    "validation_loss",
)


def write_card(folder: Path, manifest: CriticManifest, metrics: Mapping[str, object]) -> str:
    """The card as Markdown."""
    settings = manifest.settings
    is_adapter = settings["method"] == "lora" and not settings["merge"]
    use_reference = str(settings["use_reference"]).lower()
    return TEMPLATE.format(
        **manifest.model_dump(exclude={"settings"}),
        name=folder.name,
        use=(ADAPTER_USE if is_adapter else CHECKPOINT_USE).format(
            folder=folder, base_model=manifest.base_model, use_reference=use_reference
        ),
        rows="\n".join(f"| {name} | {cell(metrics[name])} |" for name in SHOWN),
        kept_step=metrics["kept_step"],
        curve=TRAINING_CURVE,
        settings=json.dumps(settings, indent=1),
        data=json.dumps(metrics["data"], indent=1),
    )


def cell(value: object) -> str:
    """A number in four digits; anything else as JSON."""
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
