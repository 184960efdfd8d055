"""``sgpo-judge train``: make a judge from labelled data."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judge.command_line import OK

KINDS = ("probe", "features", "classifier", "critic")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    parser = commands.add_parser(
        "train",
        help="make a judge from labelled data",
        description="Train a judge. The same command goes on where an interrupted one stopped.",
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--config", type=Path, required=True, help="a TOML file, as in configs/judge-*.toml")
    parser.add_argument("--output", type=Path, required=True, help="the judge's folder")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting that overrules the file; repeatable"
    )


def main(args: argparse.Namespace) -> int:
    """Train."""
    import json

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "datasets", "transformers"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    metrics = train(args.kind, args.config, args.set, args.output, args.command_line)
    print(json.dumps({key: value for key, value in metrics.items() if key != "history"}, indent=2))
    print(f"{args.output}: a judge of kind '{args.kind}'; its card is {args.output / 'README.md'}")
    return OK


def train(kind: str, config: Path, overrides: list[str], output: Path, command: str) -> Mapping[str, Any]:
    """Read the configuration, and hand over to the trainer of the kind."""
    from judge.registry import set_option
    from judge.settings import parse_table, read_toml

    table = read_toml(config)
    for option in overrides:
        set_option(table, option, "--set")
    where = str(config)
    if kind == "probe":
        from judge.train.probe import ProbeTraining, train_probe

        return train_probe(parse_table(ProbeTraining, table, where), output, command)
    if kind == "features":
        from judge.train.features import FeaturesTraining, train_features

        return train_features(parse_table(FeaturesTraining, table, where), output, command)
    if kind == "classifier":
        from judge.train.classifier import ClassifierTrainSettings, train_classifier

        return train_classifier(parse_table(ClassifierTrainSettings, table, where), output, command)
    from judge.train.critic import train_critic
    from judge.train.critic_settings import CriticTrainSettings

    return train_critic(parse_table(CriticTrainSettings, table, where), output)
