"""All attacks by name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

from eval.attacks import injection, layout, openers, padding
from eval.attacks.base import Attack
from judge.errors import ConfigError

CORPUS_VERSION: Final = 1
"""Counts up when an attack changes what it makes of a response."""

CORPUS: Final = {
    attack.name: attack
    for attack in sorted(
        (*openers.ATTACKS, *padding.ATTACKS, *layout.ATTACKS, *injection.ATTACKS), key=lambda attack: attack.code
    )
}


def get_attacks(names: Sequence[str] = ()) -> list[Attack]:
    """The attacks of these names, in the corpus's order; all of them for no name.

    Raises:
        ConfigError: for an unknown name, with the closest known one.
    """
    for name in names:
        if name not in CORPUS:
            matches = difflib.get_close_matches(name.lower(), CORPUS, n=1)
            hint = f"did you mean '{matches[0]}'?" if matches else f"known: {', '.join(CORPUS)}"
            raise ConfigError(f"--attack {name}: no such attack; {hint}")
    return [attack for attack in CORPUS.values() if not names or attack.name in names]
