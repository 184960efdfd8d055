"""Options that several verbs share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from judge.errors import ConfigError

if TYPE_CHECKING:
    from eval.metrics import Sampling


def add_benchmark(parser: argparse.ArgumentParser) -> None:
    """``--benchmark`` and ``--path``."""
    parser.add_argument("--benchmark", required=True, metavar="NAME", help="see `sgpo-eval list`")
    parser.add_argument(
        "--path",
        metavar="PATH",
        help="data in the benchmark's schema: a file (JSON, JSON lines or Parquet, plain or gzipped), a folder of such "
        "files, or a hub data set owner/name[:config][#split]; default: the benchmark's own on the hub",
    )


def add_judge(parser: argparse.ArgumentParser) -> None:
    """``--judge`` and ``--judge-option``."""
    parser.add_argument(
        "--judge",
        required=True,
        metavar="JUDGE",
        help="default, rules, critic ..., a trained judge's folder, or a TOML file with [judge]",
    )
    parser.add_argument(
        "--judge-option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="setting of the judge (repeatable), for example --judge-option model=Qwen/Qwen3-4B",
    )


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """``--seed`` and ``--bootstrap-samples``."""
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything that is drawn (default 0)")
    parser.add_argument(
        "--bootstrap-samples",
        type=int,
        default=1000,
        metavar="N",
        help="for the 95%% intervals, drawn by problem (default 1000; 0: no intervals)",
    )


def sampling(args: argparse.Namespace) -> Sampling:
    """What `add_sampling`'s options say.

    Raises:
        ConfigError: a negative number, or a package is missing.
    """
    for name in ("seed", "bootstrap_samples"):
        if getattr(args, name) < 0:
            raise ConfigError(f"--{name.replace('_', '-')} {getattr(args, name)}: must not be negative")
    require_numbers()
    from eval.metrics import Sampling

    return Sampling(num_samples=args.bootstrap_samples, seed=args.seed)


def require_numbers() -> None:
    """Check for the packages that compute the figures, before hours of judging.

    Raises:
        ConfigError: naming what to install.
    """
    try:
        import numpy
        import scipy
        import sklearn  # noqa: F401 - all three are only looked for
    except ImportError as error:
        raise ConfigError(f"the package '{error.name}' is missing: pip install 'sgpo[train]'") from None
    del numpy, scipy
