r"""The reference answer in a row of a problem set, as one text that `judge.answers` compares with.

It stands behind ``####`` (GSM8K), in ``answer`` (MATH-500, AIME, AMC), in the ``\boxed{}`` of ``solution`` (Minerva) or
in the list ``final_answer`` (OlympiadBench). Every reader raises ``ValueError`` naming the field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from judge.final_answer import reference_answer

_DOLLAR: Final = re.compile(r"(?<!\\)\$")
_EXPONENT: Final = re.compile(r"(?<![\w.])([-+]?\d+(?:\.\d*)?)[eE]([-+]?\d+)(?!\w)")
_BARE_POINT: Final = re.compile(r"(?<=\d)\.(?=/)")


def after_hashes(fields: Mapping[str, Any]) -> str:
    r"""What follows ``####`` in ``answer``.

    >>> after_hashes({"answer": "1000 + 120 = <<1000+120=1120>>1120\n#### 1,120"})
    '1120'
    """
    text = fields.get("answer")
    _, mark, answer = text.rpartition("####") if isinstance(text, str) else ("", "", "")
    if not mark or not answer.strip():
        raise ValueError("'answer' does not end with '#### ANSWER'")
    return answer.strip().replace(",", "")


def stated_or_boxed(fields: Mapping[str, Any]) -> str:
    r"""The field ``answer``, a text or a number; without it, the last ``\boxed{}`` of ``solution``.

    >>> stated_or_boxed({"answer": 27.0}), stated_or_boxed({"solution": r"It is \boxed{1.6} cm."})
    ('27', '1.6')
    """
    answer = fields.get("answer")
    if isinstance(answer, str) and answer.strip():
        return as_latex(answer.strip())
    if isinstance(answer, int | float) and not isinstance(answer, bool) and math.isfinite(answer):
        return str(int(answer)) if answer == int(answer) else as_latex(str(answer))
    if answer is not None:
        raise ValueError(f"'answer' = {answer!r} is neither a text nor a finite number")
    solution = fields.get("solution")
    boxed = reference_answer(solution) if isinstance(solution, str) and r"\boxed" in solution else None
    if boxed is None:
        raise ValueError(r"neither 'answer' nor a \boxed{} in 'solution'")
    return as_latex(boxed)


def listed(fields: Mapping[str, Any]) -> str:
    """The texts of ``final_answer`` without their dollar signs, joined; without the field, as `stated_or_boxed`.

    >>> listed({"final_answer": ["$69$,$84$"]})
    '69,84'
    """
    if "final_answer" not in fields:
        return stated_or_boxed(fields)
    texts = fields["final_answer"]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts) or not "".join(texts).strip():
        raise ValueError("'final_answer' is not a list of texts")
    return _DOLLAR.sub("", ", ".join(texts)).strip()


def as_latex(answer: str) -> str:
    r"""Python's notation of numbers and functions as LaTeX.

    A quarter of Minerva's references are written so. math-verify finds ``4.5e33`` different from what a policy writes.

    >>> as_latex("4.5e33"), as_latex("np.arcsin(10/13)"), as_latex("-1./3"), as_latex("2 e^{3}")
    ('4.5 \\times 10^{33}', '\\arcsin(10/13)', '-1/3', '2 e^{3}')
    """
    answer = _EXPONENT.sub(r"\1 \\times 10^{\2}", answer)
    return _BARE_POINT.sub("", answer).replace("np.", "\\")
