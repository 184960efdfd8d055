"""``sgpo-eval policy --model M --benchmark gsm8k --path FILE --output DIR``: avg@k and maj@k of a policy."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eval.commands.options import add_sampling, sampling
from eval.commands.tables import percent
from judge.command_line import OK
from judge.errors import ConfigError, JudgeError

if TYPE_CHECKING:
    from eval.policy.run import PolicyOptions
    from judge.backends.base import TextBackend

DESCRIPTION: Final = (
    "Sample k answers to every problem, check them with math-verify, and report avg@k (mean accuracy of a sample) and "
    "maj@k (accuracy of the most frequent answer). DIR/samples.jsonl grows line by line: the same command goes on from "
    "an interrupted run."
)
LOCAL_BATCH: Final = 32
SERVER_BATCH: Final = 64


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    parser = commands.add_parser("policy", help="avg@k and maj@k of a policy; resumable", description=DESCRIPTION)
    parser.add_argument("--model", required=True, help="the policy: a folder, hub id, packaged or served name")
    parser.add_argument(
        "--benchmark", required=True, metavar="NAME", help="gsm8k, math500, aime24, amc23, minerva or olympiadbench"
    )
    parser.add_argument("--path", help="file in the benchmark's schema, or a hub id; default: the benchmark's hub id")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="for samples.jsonl and summary.json")
    parser.add_argument("--samples", type=int, default=1, metavar="K", help="answers per problem (default 1)")
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="default: 0 (greedy) for one sample, 0.6 for several"
    )
    parser.add_argument("--max-tokens", type=int, default=2048, metavar="N", help="of one answer (default 2048)")
    parser.add_argument("--limit", type=int, metavar="N", help="only N problems, drawn by a hash of --seed")
    parser.add_argument("--prompt", metavar="TEXT", help="user message with {problem} in it; as the policy was trained")
    parser.add_argument("--base-url", metavar="URL", help="of a vLLM or other OpenAI-compatible server, ending in /v1")
    parser.add_argument("--api-key-env", default="", metavar="NAME", help="environment variable with the server's key")
    parser.add_argument(
        "--timeout-s", type=float, default=1800.0, metavar="S", help="for one answer, or one batch (default 1800)"
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help=f"answers at a time (default: {LOCAL_BATCH}; {SERVER_BATCH} from a server)",
    )
    parser.add_argument(
        "--max-failed-share",
        type=float,
        default=0.0,
        metavar="X",
        help="exit with 1 when the policy did not answer more than this share of the problems (default 0)",
    )
    add_sampling(parser)


def main(args: argparse.Namespace) -> int:
    """Evaluate a policy."""
    options = _options(args)
    from eval.log import SUMMARY_NAME
    from eval.policy.problems import get_problem_set, load_problems
    from eval.policy.run import evaluate
    from eval.provenance import provenance

    problem_set = get_problem_set(args.benchmark)
    path = args.path or problem_set.hub
    problems = load_problems(problem_set, path)
    facts = {"path": path, **provenance(), "command": args.command_line}
    summary = evaluate(_policy(args, options), problem_set.name, problems, options, facts)
    print(table(summary))
    print(args.output / SUMMARY_NAME)
    failed, number = summary["num_failed_problems"], summary["num_problems"]
    if failed / number > args.max_failed_share:
        raise JudgeError(
            f"the policy did not answer {failed} of {number} problems (see 'message' in {args.output}/samples.jsonl); "
            "the same command tries them again, --max-failed-share accepts some"
        )
    return OK


def _options(args: argparse.Namespace) -> PolicyOptions:
    """The arguments, checked."""
    drawn = sampling(args)
    from eval.policy.run import PolicyOptions
    from eval.policy.sampling import PROMPT, Plan, split_prompt
    from judge.backends.base import Sampling

    for name in ("samples", "max_tokens", "limit", "batch_size"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} {value}: at least 1 is needed")
    if not 0 <= args.max_failed_share <= 1:
        raise ConfigError(f"--max-failed-share {args.max_failed_share}: give a share between 0 and 1")
    if not args.timeout_s > 0:
        raise ConfigError(f"--timeout-s {args.timeout_s}: give a number of seconds above 0")
    temperature = args.temperature if args.temperature is not None else 0.0 if args.samples == 1 else 0.6
    if not 0 <= temperature < float("inf"):
        raise ConfigError(f"--temperature {temperature}: give 0 or more")
    if temperature == 0 and args.samples > 1:
        raise ConfigError(f"--temperature 0 with --samples {args.samples}: all samples would be the same")
    settings = Sampling(args.samples, temperature, args.max_tokens, args.seed)
    batch = args.batch_size or (SERVER_BATCH if args.base_url else LOCAL_BATCH)
    before, after = split_prompt(PROMPT if args.prompt is None else args.prompt)
    # A server batches by itself and likes a steady stream; a model in this process takes one batch after the other.
    size, calls = (1, -(-batch // args.samples)) if args.base_url else (max(1, batch // args.samples), 1)
    return PolicyOptions(args.output, Plan(settings, before, after, size, calls), batch, args.limit, drawn)


def _policy(args: argparse.Namespace, options: PolicyOptions) -> TextBackend:
    """The policy that the arguments name."""
    if args.base_url:
        from judge.backends.openai import OpenAIBackend

        return OpenAIBackend(
            base_url=args.base_url,
            model=args.model,
            api_key_env=args.api_key_env,
            timeout_s=args.timeout_s,
            max_concurrency=options.batch_size,
        )
    from judge.backends.local import LocalBackend

    return LocalBackend(args.model, batch_size=options.batch_size, timeout_s=args.timeout_s)


def table(summary: Mapping[str, Any]) -> str:
    """The summary for people."""
    k = summary["k"]
    scored = summary["num_problems"] - summary["num_unscored_problems"]
    lines = [
        (f"avg@{k}", percent(summary["avg_at_k"]), _interval(summary["intervals"]["avg_at_k"])),
        (f"maj@{k}", percent(summary["maj_at_k"]), _interval(summary["intervals"]["maj_at_k"])),
        ("problems", str(scored), f"of {summary['num_problems']}, {k} samples each"),
        ("no answer", str(summary["num_without_answer"]), "samples in which no final answer was found"),
        ("cut off", str(summary["num_cut_off"]), f"samples that ran into --max-tokens {summary['max_tokens']}"),
        ("unscored", str(summary["num_unscored_samples"]), _counts(summary["unscored_samples"])),
    ]
    return "\n".join(f"{name:<10}{value:>7}  {note}".rstrip() for name, value, note in lines)


def _interval(bounds: Sequence[float] | None) -> str:
    return "" if bounds is None else f"95% interval {percent(bounds[0])} to {percent(bounds[1])}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {reason}" for reason, number in counts.items())
