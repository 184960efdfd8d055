"""Arithmetic that a text states about plain numbers: reading it, recomputing it exactly, and saying where it is wrong.

The way of a text: `tokens` (characters to tokens) -> `words` ("3 times 4 is 12" to operators) -> `claims` (which
tokens claim an equality) -> `expressions` (exact value of a side) -> `compare` (right, wrong, or not for us to say).
Every part is linear in the text, and every part gives up rather than guess: an equation with an unknown, or one that
does not parse, is no claim.
"""

from judge.arithmetic.claims import Claim, check_text, redefines_arithmetic

__all__ = ["Claim", "check_text", "redefines_arithmetic"]
