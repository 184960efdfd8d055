"""The arms of the study: settings of the trainer, named as in a configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from judge.shaping import Shaping
from sgpo_client.settings.algo import AlgoTable
from sgpo_client.settings.sgpo import Groups, SgpoTable


@dataclass(frozen=True)
class Arm:
    """One column of a comparison."""

    name: str
    algo: Mapping[str, Any] = field(default_factory=dict)
    """Table ``[algo]``."""
    sgpo: Mapping[str, Any] = field(default_factory=dict)
    """Table ``[sgpo]``."""
    shaping: Mapping[str, float] = field(default_factory=dict)
    """Table ``[reward.shaping]``: beta, gamma, cap."""
    defended: bool = True
    """What the server's defences do to a share: steps that claim nothing do not count, and a response is measured
    against the usual length. Only free-form tasks feel it."""

    @cached_property
    def algo_table(self) -> AlgoTable:
        """``[algo]``, checked."""
        return AlgoTable.model_validate(dict(self.algo))

    @cached_property
    def sgpo_table(self) -> SgpoTable:
        """``[sgpo]``, checked."""
        return SgpoTable.model_validate(dict(self.sgpo))

    @cached_property
    def curve(self) -> Shaping:
        """From RTS to reward."""
        return Shaping(**self.shaping)

    @cached_property
    def groups(self) -> Groups:
        """Whose wrong responses are judged."""
        return self.sgpo_table.groups or ("all_negative" if self.algo_table.name == "sgpo" else "none")


def sgpo(
    name: str, algo: Mapping[str, Any] | None = None, shaping: Mapping[str, float] | None = None, **table: Any
) -> Arm:
    """An SGPO arm: ``table`` is ``[sgpo]``."""
    return Arm(name, {"name": "sgpo", **(algo or {})}, table, shaping or {})


BASELINES = (
    Arm("GRPO", {"name": "grpo"}),
    Arm("Dr. GRPO", {"name": "dr_grpo"}),
    Arm("RLOO", {"name": "rloo"}),
    Arm("DAPO", {"name": "dapo"}),
)
