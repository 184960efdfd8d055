"""The words that `judge.defences.reading` knows."""

from __future__ import annotations

from typing import Final

NUMBER_WORDS: Final = {
    word: number
    for number, words in {
        "0": "zero", "2": "two twice double doubled", "3": "three thrice triple tripled", "4": "four quadruple",
        "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine", "10": "ten", "11": "eleven",
        "12": "twelve dozen", "13": "thirteen", "14": "fourteen", "15": "fifteen", "16": "sixteen", "17": "seventeen",
        "18": "eighteen", "19": "nineteen", "20": "twenty", "30": "thirty", "40": "forty", "50": "fifty",
        "60": "sixty", "70": "seventy", "80": "eighty", "90": "ninety", "100": "hundred", "1000": "thousand",
        "1/2": "half halves halved", "1/4": "quarter quarters",
    }.items()
    for word in words.split()
}  # fmt: skip
"""Numbers that are written as words. "One" is not: it is mostly no number."""
_COMMON: Final = """
a about above actually after again all already also although always am an and another any are as ask asked at be
because been before being below between both but by calculate calculated calculating can cannot carefully case check
checked clear clearly compute correct could did do does done each easy either else equal equals every exactly
expected figure find finally first following follows for from further get gets give given gives go going got had has
have having he hence her here hers him his how however i if in indeed into is it it's its itself just know known
known last least let let's lets like likewise look made make makes many may me mean means might more most much must
my namely need needed needs next no not note nothing now obtain obviously of on once one only or other our out over
per problem proceed put question recall remember result right said same saw say see shall she should show shown
since so solution solve solved some state states step steps still such sum take tell than that that's the their them
then there there's therefore these they thing think this those though thus to together told total true under until
up us use used using value verify want was way we well were what when where whether which while who whole why will
with without word words would yes yet you your
"""
COMMON: Final = frozenset(_COMMON.split())
"""Words that say nothing about a problem."""
RELATIONS: Final = frozenset(
    {"=", "<", ">", "≤", "≥", "≈", "≡", "≠"}
    | {rf"\{name}" for name in ("le", "ge", "leq", "geq", "approx", "equiv", "implies", "to", "in")}
)
"""What makes an equality, in the wide sense."""
OPERATORS: Final = frozenset("+*/^×÷√%")
VOCABULARY: Final = COMMON | RELATIONS | OPERATORS | frozenset(NUMBER_WORDS)
"""All of these."""
