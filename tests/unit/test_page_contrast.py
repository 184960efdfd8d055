"""The page's colours are far enough apart in both themes (WCAG 2.2, level AA)."""

from __future__ import annotations

import pytest

from tests.unit.page_styles import THEMES, contrast, palette

STEPS = [*(f"right-{level}" for level in range(5)), *(f"wrong-{level}" for level in range(5)), "plain"]
TEXT = [
    *(("ink", ground) for ground in ["page", "card", "notice", *STEPS]),
    *(("ink-soft", ground) for ground in ["page", "card", "plain"]),
    *(("accent", ground) for ground in ["page", "card"]),
    ("on-accent", "accent"),
    ("wrong", "card"),
]
SHAPES = [
    ("edge", "page"),
    ("edge", "card"),
    ("accent", "page"),
    ("accent", "card"),
    ("series-0", "card"),
    ("series-1", "card"),
    ("right", "page"),
    ("wrong", "page"),
    ("notice-edge", "notice"),
    *(("right", f"right-{level}") for level in range(5)),
    *(("wrong", f"wrong-{level}") for level in range(5)),
]


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read(theme: str) -> None:
    colours = palette(theme)
    ratios = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in TEXT}
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_borders_and_lines_can_be_seen(theme: str) -> None:
    colours = palette(theme)
    ratios = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in SHAPES}
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 3} == {}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", ["right", "wrong"])
def test_shades_get_stronger_level_by_level(theme: str, kind: str) -> None:
    colours = palette(theme)
    against_card = [contrast(colours[f"{kind}-{level}"], colours["card"]) for level in range(5)]
    if theme == "dark":
        # The palest shades are close to the card, on either side of it.
        against_card = [contrast(colours[f"{kind}-{level}"], "#000000") for level in range(5)]
    assert against_card == sorted(against_card)
    assert len(set(against_card)) == 5


def test_the_dark_theme_is_dark() -> None:
    assert contrast(palette("light")["page"], "#ffffff") < 1.2
    assert contrast(palette("dark")["page"], "#000000") < 1.3
