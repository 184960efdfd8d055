"""Training of a generative critic: supervised fine-tuning with TRL and PEFT, the loss on the reply only.

``sgpo-judge train critic --config configs/judge-critic-sft.toml``. The output folder is a checkpoint that the critic
judge loads (``backend = "local"``, ``model = FOLDER``) and that inference servers serve. The same command resumes an
interrupted run.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge.data.training_set import TrainingSet, load_training_set
from judge.errors import ConfigError, ModelError
from judge.judges.critic_folder import CriticManifest, critic_prompts
from judge.models import ModelFiles, find_model, load_model
from judge.train.critic_data import TokenRow, encode_records
from judge.train.critic_output import claim, last_checkpoint, publish
from judge.train.critic_settings import CriticTrainSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Splits:
    """What the trainer reads."""

    train: list[TokenRow]
    validation: list[TokenRow]
    """Empty when the data has no validation share: then the last update's weights are kept, else the best ones."""
    skipped: dict[str, dict[str, int]]
    """What gave no example, by split and reason."""


def train_critic(settings: CriticTrainSettings, output: Path, callbacks: Sequence[Any] = ()) -> dict[str, object]:
    """Train a critic and write its folder.

    Args:
        output: new, empty, or of an interrupted run with the same settings and data, which goes on.
        callbacks: transformers' ``TrainerCallback``, for progress of your own.

    Returns:
        The metrics, also in ``training/metrics.json``; ``history`` has rows with ``step`` and ``loss`` or
        ``validation_loss``.

    Raises:
        ConfigError: settings that do not fit the data or the model; or an ``output`` that holds something else.
        DataError: data that cannot be read, or gives no example.
        ModelError: the base model cannot be loaded, or has no chat template; or TRL or PEFT are not installed.
    """
    data = load_training_set(settings.data)
    files = find_model(settings.base_model)
    manifest = CriticManifest(
        prompts=critic_prompts(),
        base_model=settings.base_model,
        base_digest=files.digest(),
        data_digest=data.digest,
        settings=settings.model_dump(mode="json"),
    )
    claim(output, manifest)
    model, tokenizer = load_model(files, "float32")
    check_context(model, settings)
    splits = encode_splits(data, tokenizer, settings)
    trainer = build_trainer(model, tokenizer, splits, settings, output, callbacks)
    trainer.train(resume_from_checkpoint=last_checkpoint(output))
    metrics = summarize(trainer, splits) | {"data": data.report}
    publish(output, final_model(trainer, settings, files), tokenizer, manifest, metrics)
    return metrics


def check_context(model: Any, settings: CriticTrainSettings) -> None:
    """Refuse examples that the model cannot read to the end."""
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and settings.max_tokens > context:
        raise ConfigError(f"max_tokens = {settings.max_tokens}, but {settings.base_model} reads only {context} tokens")


def encode_splits(data: TrainingSet, tokenizer: Any, settings: CriticTrainSettings) -> Splits:
    """Token rows of both splits; what is skipped is logged and counted.

    A critic has no threshold to fit, so the calibration part validates as well.
    """
    train, skipped_train = encode_records(data.train, tokenizer, settings, "train")
    validation: list[TokenRow] = []
    skipped_validation: Counter[str] = Counter()
    if held_out := [*data.validation, *data.calibration]:
        validation, skipped_validation = encode_records(held_out, tokenizer, settings, "validation")
    skipped = {"train": dict(skipped_train), "validation": dict(skipped_validation)}
    logger.info("%s examples to train on, %s to validate, skipped: %s", len(train), len(validation), skipped)
    return Splits(train, validation, skipped)


def build_trainer(
    model: Any,
    tokenizer: Any,
    splits: Splits,
    settings: CriticTrainSettings,
    output: Path,
    callbacks: Sequence[Any],
) -> Any:
    """TRL's trainer on the rows. Their ids are final: TRL only turns the mask into labels."""
    try:
        from datasets import Dataset
        from peft import LoraConfig
        from trl import SFTTrainer
    except ImportError as error:
        raise ModelError(f"training a critic needs TRL and PEFT ({error}); run: pip install 'sgpo[train]'") from None
    lora = settings.lora
    adapter = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return SFTTrainer(
        model=model,
        args=trainer_arguments(settings, output, validates=bool(splits.validation)),
        train_dataset=Dataset.from_list(splits.train),
        eval_dataset=Dataset.from_list(splits.validation) if splits.validation else None,
        processing_class=tokenizer,
        peft_config=adapter if settings.method == "lora" else None,
        callbacks=list(callbacks),
    )


def trainer_arguments(settings: CriticTrainSettings, output: Path, *, validates: bool) -> Any:
    """The trainer's own settings."""
    import torch
    from trl import SFTConfig

    return SFTConfig(
        output_dir=str(output.resolve() / "training" / "checkpoints"),
        max_length=None,  # nothing is cut: `encode_records` has seen to the length
        completion_only_loss=True,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.micro_batch_size,
        per_device_eval_batch_size=settings.micro_batch_size,
        gradient_accumulation_steps=settings.batch_size // settings.micro_batch_size,
        gradient_checkpointing=settings.gradient_checkpointing,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup_share,
        bf16=torch.cuda.is_available(),  # autocast; the weights stay float32
        save_strategy="steps",
        save_steps=settings.checkpoint_every,
        save_total_limit=2,
        eval_strategy="steps" if validates else "no",
        eval_steps=settings.checkpoint_every,
        load_best_model_at_end=validates,
        metric_for_best_model="eval_loss" if validates else None,
        logging_steps=min(10, settings.checkpoint_every),
        report_to="none",
        seed=settings.seed,
        data_seed=settings.seed,
    )


def summarize(trainer: Any, splits: Splits) -> dict[str, object]:
    """The run in numbers. Losses are mean nats per reply token."""
    names = {"loss": "loss", "eval_loss": "validation_loss", "grad_norm": "grad_norm", "learning_rate": "learning_rate"}
    history = [
        {"step": row["step"]} | {name: row[key] for key, name in names.items() if key in row}
        for row in trainer.state.log_history
        if "loss" in row or "eval_loss" in row
    ]
    losses = [row["loss"] for row in history if "loss" in row]
    validation = [(row["validation_loss"], row["step"]) for row in history if "validation_loss" in row]
    best_loss, kept_step = min(validation, default=(None, trainer.state.global_step))
    return {
        "num_updates": trainer.state.global_step,
        "num_train": len(splits.train),
        "num_validation": len(splits.validation),
        "skipped": splits.skipped,
        "first_loss": losses[0] if losses else None,
        "last_loss": losses[-1] if losses else None,
        "validation_loss": best_loss,
        "kept_step": kept_step,
        "history": history,
    }


def final_model(trainer: Any, settings: CriticTrainSettings, files: ModelFiles) -> Any:
    """The model to write, in the precision that the base model is stored in."""
    import torch
    from transformers import AutoConfig

    model = trainer.accelerator.unwrap_model(trainer.model)
    if settings.method == "lora":
        if not settings.merge:
            return model
        model = model.merge_and_unload()
    stored = torch.bfloat16 if files.packaged else AutoConfig.from_pretrained(files.folder).dtype
    model.config.use_cache = True  # gradient checkpointing turns it off
    return model.to("cpu", stored or torch.float32)
