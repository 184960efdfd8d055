"""Judge wrong responses as they are and attacked, with defences on and off, and sum up what the attacks gained."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from eval.asking import ask
from eval.attack_log import LOG_NAME, ORIGINAL, AttackRow, Key, attack_row, resume
from eval.attack_table import attack_table, originals
from eval.attacks.base import Attack, WrongResponse
from eval.attacks.corpus import CORPUS_VERSION
from eval.benchmarks.base import DataFile, get_benchmark
from eval.benchmarks.draw import draw
from eval.benchmarks.example import Example
from eval.defences import BOTH, Pay, cut, judge_with
from eval.log import open_folder, write_summary
from eval.row_file import append_rows
from judge.defences import DEFENCES_VERSION
from judge.errors import ConfigError
from judge.judges.base import Judge
from judge.shaping import Shaping
from judge.steps import DEFAULT
from judge.types import NO_ERROR, Solution, Unscored, UnscoredReason

logger = logging.getLogger(__name__)

SUMMARY_NAME: Final = "attacks.json"


@dataclass(frozen=True, slots=True)
class AttackOptions:
    """One attack run."""

    benchmark: str
    output: Path
    attacks: Sequence[Attack]
    limit: int | None = None
    """Attack only so many wrong responses, drawn (`eval.benchmarks.draw`)."""
    batch_size: int = 16
    seed: int = 0
    """Of the attacks, of the bootstrap, and of what is drawn."""
    num_samples: int = 1000
    """Of the bootstrap."""


@dataclass(frozen=True, slots=True)
class AttackIdentity:
    """What must be the same for two attack runs to share a folder."""

    benchmark: str
    data_digest: str
    judge_id: str
    judge_id_undefended: str
    segmenter: str
    defences: str
    corpus: int
    attack_seed: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to the judge."""

    key: Key
    example: Example
    pay: Pay

    @property
    def is_asked(self) -> bool:
        """False at the floor, and for a response without steps, which the reward server shows to no judge either."""
        return bool(self.pay.steps) and not self.pay.examined.is_floored

    def solution(self) -> Solution:
        """What the judge sees."""
        example = self.example
        return Solution(
            example.problem, self.pay.steps, example.reference_solution, example.reference_answer, known_wrong=True
        )


def run_attacks(judge: Judge, data: DataFile, options: AttackOptions, facts: Mapping[str, object]) -> dict[str, Any]:
    """Judge what is not yet in the log of ``options.output``, and write its ``attacks.json``.

    Args:
        facts: more entries for the summary (version, command).

    Raises:
        DataError: the data file does not follow the benchmark's schema.
        ConfigError: no row with a wrong answer, or the output folder holds another run.
        ModelError: the judge's model cannot be loaded.
    """
    examples = select(get_benchmark(options.benchmark).load(data), data.path, options.limit, options.seed)
    identity = AttackIdentity(
        benchmark=options.benchmark,
        data_digest=data.digest,
        judge_id=judge.judge_id,
        judge_id_undefended=judge_with(judge, "off").judge_id,
        segmenter=DEFAULT.fingerprint,
        defences=DEFENCES_VERSION,
        corpus=CORPUS_VERSION,
        attack_seed=options.seed,
    )
    open_folder(options.output, identity)
    log = options.output / LOG_NAME
    finished = resume(log)
    probes = list(make_probes(examples, options.attacks, options.seed))
    refuse_smaller(options.output / SUMMARY_NAME, len(probes))
    todo = [probe for probe in probes if probe.key not in finished]
    if len(todo) < len(probes):
        logger.info("%s: %d of %d responses are done, going on", log, len(probes) - len(todo), len(probes))
    fresh = asyncio.run(_judge_all(judge, todo, log, options.batch_size))
    rows = [(finished | fresh)[probe.key] for probe in probes]
    summary = asdict(identity) | {"path": str(data.path), **facts} | summarise(rows, options)
    write_summary(options.output / SUMMARY_NAME, summary)
    return summary


def select(examples: Sequence[Example], path: Path, limit: int | None, seed: int) -> list[Example]:
    """Rows with a wrong final answer and a labelled first error: all, or as many as ``limit``, drawn.

    Raises:
        ConfigError: when there are none.
    """
    wrong = [
        example
        for example in examples
        if example.final_answer_correct is False and example.label is not None and example.label != NO_ERROR
    ]
    if not wrong:
        raise ConfigError(f"{path}: attacks need rows whose 'final_answer_correct' is false; there are none")
    return draw(wrong, limit, seed)


def make_probes(examples: Sequence[Example], attacks: Sequence[Attack], seed: int) -> Iterator[Probe]:
    """Every response as it is and after each attack, with defences on and off.

    An attack that leaves a response as it is (nothing before its first error to split, say) does not apply to it.
    What the response was before the attack stands for the others of its group.
    """
    for example in examples:
        assert example.label is not None, "selected for its label"
        response = WrongResponse(example.problem, example.steps, example.label, example.id)
        attacked = {attack.name: attack.apply(response, seed) for attack in attacks}
        texts = {ORIGINAL: response.text} | {name: text for name, text in attacked.items() if text != response.text}
        for defences in BOTH:
            pays = {name: Pay.of(text, cut(text, defences), example.problem, defences) for name, text in texts.items()}
            for name, pay in pays.items():
                yield Probe(Key(example.id, name, defences), example, pay.beside([pays[ORIGINAL]]))


def refuse_smaller(table: Path, num_rows: int) -> None:
    """Refuse to replace a table by one of fewer responses: a smaller ``--limit``, or fewer attacks.

    Raises:
        ConfigError: naming the table.
    """
    there = json.loads(table.read_bytes())["num_rows"] if table.is_file() else 0
    if there > num_rows:
        raise ConfigError(
            f"{table}: is about {there} judged responses, this one would be about {num_rows}; give another --output"
        )


async def _judge_all(judge: Judge, probes: Sequence[Probe], log: Path, batch_size: int) -> dict[Key, AttackRow]:
    from tqdm import tqdm

    rows: dict[Key, AttackRow] = {}
    async with aclosing(judge):
        with tqdm(total=len(probes), desc="attacking", unit="response", disable=None) as bar:
            for defences in BOTH:
                asked = [probe for probe in probes if probe.key.defences == defences]
                for start in range(0, len(asked), batch_size):
                    batch = asked[start : start + batch_size]
                    judged = await _judge_batch(judge_with(judge, defences), batch)
                    append_rows(log, judged)
                    rows |= {row.key: row for row in judged}
                    bar.update(len(batch))
    return rows


async def _judge_batch(judge: Judge, batch: Sequence[Probe]) -> list[AttackRow]:
    started = time.perf_counter()
    answers = iter(await ask(judge, [probe.solution() for probe in batch if probe.is_asked]))
    empty = Unscored(UnscoredReason.NO_STEPS, "the response holds nothing that counts as a step", judge.judge_id)
    results = [next(answers) if probe.is_asked else None if probe.pay.examined.is_floored else empty for probe in batch]
    seconds = (time.perf_counter() - started) / len(batch)
    return [
        attack_row(probe.key, probe.example.cluster, probe.pay, result, seconds)
        for probe, result in zip(batch, results, strict=True)
    ]


def summarise(rows: Sequence[AttackRow], options: AttackOptions) -> dict[str, Any]:
    """Everything in the summary that follows from the log."""
    shaping = Shaping()
    table = attack_table(rows, shaping, options.num_samples, options.seed)
    return {
        "shaping": asdict(shaping),
        "num_rows": len(rows),
        "num_failed": sum(row.failed for row in rows),
        "seconds": sum(row.seconds for row in rows),
        "originals": originals(rows, shaping),
        "attacks": {
            attack.name: {"code": attack.code, "summary": attack.summary, **table[attack.name]}
            for attack in options.attacks
            if attack.name in table
        },
    }
