"""How the report words what a judge is worth."""

from __future__ import annotations

import pytest

from eval.report.signal_tables import worth_text


@pytest.mark.parametrize(
    ("cosine", "rate", "text"),
    [(None, None, "–"), (-0.2, None, "more than all noise"), (0.4, 0.3, "30% noise"), (1.0, 0.0, "0% noise")],
)
def test_no_groups_are_not_a_bad_judge(cosine: float | None, rate: float | None, text: str) -> None:
    assert worth_text(cosine, rate) == text
