r"""Find a response's final answer, and compare plain numbers. Pure text work, bounded by `TAIL_CHARS`.

Where the answer is, as users of GSM8K and MATH expect, the first of: the last closed ``\boxed{}``; the last
``#### 18``; what follows the last "answer is" or "A:"; the last number or formula.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

TAIL_CHARS: Final = 4000
"""Only this many characters at the end of a response are searched for its answer."""
MAX_ANSWER_CHARS: Final = 1000
"""What is longer is no final answer."""

_NUMBER = r"(?:(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)"
_SIGNED = rf"[-+]?\s?(?:\\?[$€£])?\s?[-+]?{_NUMBER}"
_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_HASHES = re.compile(
    rf"^[ \t]*####[ \t]*({_SIGNED}(?:\s?/\s?{_NUMBER})?\s?%?)(?:[ \t]+[a-zA-Z]+)*[ \t]*(?:\.[ \t]*)?$", re.MULTILINE
)
_MARKER = re.compile(
    r"\banswers?\b[^\n:=.]{0,60}?(?:\bis\b\s*:?|\bare\b\s*:?|:|=)|^[ \t]*A:", re.IGNORECASE | re.MULTILINE
)
_A_COLON = re.compile(r"^[ \t]*A:", re.IGNORECASE | re.MULTILINE)
_ODD_LETTERS = "\u017f\u0130"
"""An s to `re.IGNORECASE` but not to `str.lower`, and the one letter whose lower case has another length."""
_SENTENCE_END = re.compile(r"[.;!?](?=\s|$)|\n")
_FORMULA = re.compile(
    r"\$\$(?P<display>[^$]{1,500})\$\$|(?<![\\$\d])\$(?=[^\s$])(?P<inline>[^$\n]{1,500})(?<=[^\s\\])\$(?!\d)"
    r"|\\\((?P<round>[^\n]{1,500}?)\\\)|\\\[(?P<square>.{1,500}?)\\\]",
    re.DOTALL,
)
_TOKEN_WITH_DIGIT = re.compile(r"(?<!\S)[^\s0-9]{0,20}[0-9]\S*")
_NUMBER_WITH_UNIT = re.compile(rf"({_SIGNED}\s?%?)(?:\s+|/)([a-zA-Z]{{3,}}(?:\s+[a-zA-Z]+)*)")
_NOT_UNIT = re.compile(
    r"\b(?:and|or|percent|hundred|thousand|[mb]illion|dozen|half|halves|sqrt|sin|cos|tan|log|exp)\b", re.IGNORECASE
)
_HEDGE = re.compile(
    rf"[0-9][^0-9\n]{{0,40}}\bor\b[^0-9\n]{{0,40}}[0-9]|{_NUMBER}\s?(?:,\s|/\s|;|&|,?\s?and\s)\s?\$?[0-9]",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(r"(?<!\w)\*\*(?=\S)|(?<=\S)\*\*(?!\w)")
_CALCULATOR_MARK = re.compile(r"<<[^<>\n]{0,200}>>")
_PLAIN_NUMBER = re.compile(rf"(-?)(?:\\?[$€£])?(-?)({_NUMBER})")  # math-verify reads +1,000 as the set {0, 1}


def final_answer(response: str) -> str | None:
    """The text of the final answer, or None when there is none or more than one is offered ("18 or 19")."""
    tail = response[-TAIL_CHARS:].replace("−", "-")
    answer = _boxed(tail)
    if answer is not None:
        return _tidy(answer)
    tail = _plain(tail)
    for find in (_after_hashes, _after_marker, _last_value):
        answer = find(tail)
        if answer is not None:
            # An unclosed box: its rest would run into what math-verify is given.
            return None if r"\boxed" in answer else _tidy(answer)
    return None


def reference_answer(reference: str) -> str | None:
    r"""The answer in a reference, which may be the answer itself or a solution with ``\boxed{}`` or ``####``."""
    text = reference.replace("−", "-")
    answer = _boxed(text[-TAIL_CHARS:])
    return _tidy(answer if answer is not None else _after_hashes(text[-TAIL_CHARS:]) or text)


def quick_match(answer: str, reference: str) -> bool | None:
    """Compare what needs no algebra: equal texts, and plain numbers; None when math-verify has to decide.

    >>> quick_match("$1,800.00", "1800"), quick_match("17", "18"), quick_match("0.333", "1/3")
    (True, False, None)
    """
    if answer == reference:
        return True
    left, right = _plain_number(answer), _plain_number(reference)
    if left is None or right is None:
        return None
    if left == right:
        return True
    # math-verify rounds decimals; integers are equal or not.
    both_integers = left == left.to_integral_value() and right == right.to_integral_value()
    return False if both_integers else None


def _plain_number(text: str) -> Decimal | None:
    match = _PLAIN_NUMBER.fullmatch(text) if len(text) <= 25 else None
    if match is None or (match[1] and match[2]):
        return None
    return Decimal((match[1] or match[2]) + match[3].replace(",", ""))


def _boxed(text: str) -> str | None:
    """The content of the closed box that opens last."""
    if "boxed" not in text and "fbox" not in text:
        return None
    open_boxes: list[int | None] = []
    found: tuple[int, int] | None = None
    for match in _BRACES.finditer(text):
        brace = match.group()
        if brace.endswith("{") and brace != r"\{":
            open_boxes.append(match.end() if len(brace) > 1 else None)
        elif brace == "}" and open_boxes:
            start = open_boxes.pop()
            if start is not None and (found is None or start > found[0]):
                found = (start, match.start())
    return text[found[0] : found[1]] if found else None


def _plain(text: str) -> str:
    """Without calculator marks and emphasis. Looking for them first spares most texts the search."""
    if "<<" in text:
        text = _CALCULATOR_MARK.sub("", text)
    return _EMPHASIS.sub("", text) if "**" in text else text


def _after_hashes(text: str) -> str | None:
    found = _HASHES.findall(text) if "####" in text else None
    return found[-1] if found else None


def _after_marker(text: str) -> str | None:
    """What the last "answer is" says; an empty string when it offers several values."""
    marker = _last_marker(text)
    if marker is None:
        return None
    clause = _first_sentence(text[marker.end() :].strip())
    if not clause:
        return None
    formula = _FORMULA.search(clause)
    if formula:
        return _formula(formula)
    if not clause.startswith(("(", "[", "{")) and _HEDGE.search(clause):
        return ""
    value = clause.rsplit("=", 1)[-1].strip()
    if not re.search(r"[a-z]{3,}", value) or _NUMBER_WITH_UNIT.match(value):
        return value
    token = _TOKEN_WITH_DIGIT.search(value)
    return token.group() if token else value


def _last_marker(text: str) -> re.Match[str] | None:
    lowered = text.lower()
    if ("a:" in lowered and _A_COLON.search(text)) or any(letter in text for letter in _ODD_LETTERS):
        return next(reversed(list(_MARKER.finditer(text))), None)
    # All other markers begin with this word.
    found, start = None, lowered.find("answer")
    while start >= 0:
        marker = _MARKER.match(text, start)
        found = marker or found
        start = lowered.find("answer", marker.end() if marker else start + 1)
    return found


def _first_sentence(text: str) -> str:
    formula = _FORMULA.match(text)  # which may hold line ends and full stops
    end = _SENTENCE_END.search(text, formula.end() if formula else 0)
    return text[: end.start()] if end else text


def _last_value(text: str) -> str | None:
    if "$" in text or "\\(" in text or "\\[" in text:
        return _last_formula_or_token(text)
    token = next((word for word in reversed(text.split()) if _TOKEN_WITH_DIGIT.match(word)), None)
    return token.rsplit("=", 1)[-1] if token else None


def _last_formula_or_token(text: str) -> str | None:
    formulas = [match for match in _FORMULA.finditer(text) if re.search(r"[0-9a-zA-Z]", match.group())]
    tokens = list(_TOKEN_WITH_DIGIT.finditer(text))
    if formulas and (not tokens or formulas[-1].end() >= tokens[-1].start()):
        return _formula(formulas[-1])
    return tokens[-1].group().rsplit("=", 1)[-1] if tokens else None


def _formula(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None)


def _tidy(answer: str) -> str | None:
    """Without dollar signs around it, end punctuation and units behind a plain number; None when nothing is left."""
    answer = answer.strip().rstrip(".,;:!?").strip()
    if len(answer) > 1 and answer.startswith("$") and answer.endswith("$"):
        answer = answer.strip("$").strip()
    if _PLAIN_NUMBER.fullmatch(bare := answer.strip("()[]\"'`")):
        answer = bare
    with_unit = _NUMBER_WITH_UNIT.fullmatch(answer)
    if with_unit and not _NOT_UNIT.search(with_unit[2]):
        answer = with_unit[1]
    is_usable = any(map(str.isalnum, answer)) and len(answer) <= MAX_ANSWER_CHARS
    return answer if is_usable else None
