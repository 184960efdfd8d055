"""The page and the Markdown file: everything of a report put together, and rendered by jinja2.

The page is one file without scripts or links to anything else. Problems and critiques were written by models: text is
escaped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.report.cases import Case, cases
from eval.report.charts import Picture, pictures
from eval.report.folders import Contents, JudgeRun
from eval.report.groups import Group, make_groups
from eval.report.heat import HeatMap, heat_map
from eval.report.signal_tables import attack_table, fidelity_table, policy_table
from eval.report.table import Table, percent
from eval.report.tables import cost_table, details_table, headline_names, headline_table, part_tables
from eval.report.words import GENERAL, GLOSSARY, NAMES
from judge.errors import ConfigError
from judge.types import Record


@dataclass(frozen=True, slots=True)
class Tile:
    """One number at the head of the page."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst verdicts of one judge."""

    name: str
    cases: tuple[Case, ...]
    note: str
    """Why there are none to show."""


@dataclass(frozen=True, slots=True)
class Section:
    """Judges on the same rows."""

    anchor: str
    title: str
    headline: Table
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    heat_maps: tuple[HeatMap, ...]
    worst: tuple[Worst, ...]
    facts: tuple[tuple[str, Mapping[str, str]], ...]
    """By run: how it was made."""


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that is shown."""

    title: str
    subtitle: str
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    attacks: tuple[Table, ...]
    policies: Table | None
    glossary: Mapping[str, str]

    def brief(self) -> Page:
        """Without heat maps and single cases."""
        return replace(self, sections=tuple(replace(each, heat_maps=(), worst=()) for each in self.sections))


def make_page(contents: Contents, data: Mapping[str, Mapping[str, Record]]) -> Page:
    """Lay out the page.

    Args:
        contents: the folders.
        data: the solutions by the digest of their file and their id; what is missing is said to be missing.
    """
    groups = make_groups(contents.judges)
    names = [run.name for run in contents.judges] + [name for name, _ in (*contents.attacks, *contents.policies)]
    unique = list(dict.fromkeys(names))
    benchmarks = dict.fromkeys(
        [run.summary.benchmark for run in contents.judges]
        + [summary.benchmark for _, summary in contents.attacks]
        + [summary.benchmark for _, summary in contents.policies]
    )
    sections = tuple(_section(group, f"b{number}", data) for number, group in enumerate(groups))
    attacks = tuple(attack_table(name, summary) for name, summary in contents.attacks)
    policies = policy_table(contents.policies)
    tables = [table for section in sections for table in (section.headline, *section.tables)]
    words = {column for table in (*tables, *([policies] if policies else [])) for column in table.columns}
    return Page(
        title=unique[0] if len(unique) == 1 else " · ".join(unique) if len(unique) < 4 else f"{len(unique)} runs",
        subtitle=f"Evaluation on {', '.join(benchmarks)}",
        tiles=_tiles(contents.judges),
        sections=sections,
        attacks=attacks,
        policies=policies,
        glossary=_glossary(words | (set(GENERAL) if sections else set())),
    )


def render(page: Page) -> tuple[str, str]:
    """The page as HTML and as Markdown.

    Raises:
        ConfigError: a package is missing.
    """
    environment = _environment()
    html, markdown = (environment.get_template(f"report.{kind}.j2").render(page=page) for kind in ("html", "md"))
    return html, markdown


def write_report(page: Page, output: Path) -> tuple[Path, Path]:
    """Write the page to ``output`` and the Markdown file beside it; gives both paths."""
    html, markdown = render(page)
    beside = output.with_suffix(".md")
    output.parent.mkdir(parents=True, exist_ok=True)
    for path, text in ((output, html), (beside, markdown)):
        partial = path.with_name(path.name + ".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    return output, beside


def markdown_text(text: str) -> str:
    r"""Text as Markdown that stays in its cell and is not taken for markup.

    >>> markdown_text("a|b\n<b>")
    'a\\|b &lt;b&gt;'
    """
    text = " ".join(text.split())
    for character, replacement in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", r"\|"), ("`", "'")):
        text = text.replace(character, replacement)
    return text


def require_packages() -> None:
    """Check for the packages that draw and render.

    Raises:
        ConfigError: naming what to install.
    """
    try:
        import jinja2
        import matplotlib  # noqa: F401 - only looked for
    except ImportError as error:
        raise ConfigError(f"the package '{error.name}' is missing: pip install 'sgpo[train]'") from None
    del jinja2


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("eval.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markdown"] = lambda text: Markup(markdown_text(text))  # noqa: S704 - it escapes by itself
    return environment


def _section(group: Group, anchor: str, data: Mapping[str, Mapping[str, Record]]) -> Section:
    optional = (details_table(group), *part_tables(group), fidelity_table(group), cost_table(group))
    return Section(
        anchor=anchor,
        title=group.title,
        headline=headline_table(group),
        tables=tuple(table for table in optional if table is not None),
        pictures=tuple(pictures(group, f"{anchor}-")),
        heat_maps=tuple(map(heat_map, group.runs)),
        worst=tuple(_worst(run, data.get(run.summary.data_digest)) for run in group.runs),
        facts=tuple((run.name, _facts(run)) for run in group.runs),
    )


def _worst(run: JudgeRun, records: Mapping[str, Record] | None) -> Worst:
    if records is None:
        return Worst(run.name, (), f"The data ({run.summary.path}) was not found: give it with --path.")
    found = tuple(cases(run.rows, records))
    return Worst(run.name, found, "" if found else "No verdict is wrong.")


def _facts(run: JudgeRun) -> dict[str, str]:
    summary = run.summary
    facts = {"judge": summary.judge_id, "data": summary.path, "data digest": summary.data_digest}
    names = {"command": "command", "version": "version", "commit": "commit", "scored_from": "scored from"}
    facts |= {title: summary.fact(name) for name, title in names.items()}
    if summary.fact("uncommitted_changes") == "True":
        facts["commit"] += ", with changes that are not committed"
    facts["rows left out"] = _counted(summary.dropped)
    facts["rows repaired"] = _counted(summary.repaired)
    if summary.drawn is not None:
        facts["rows drawn"] = f"{summary.num_rows:,} by --limit"
    return {title: text for title, text in facts.items() if text}


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items())


def _glossary(words: Collection[str]) -> dict[str, str]:
    return {word: meaning for word, meaning in GLOSSARY.items() if word in words}


def _tiles(runs: Sequence[JudgeRun]) -> tuple[Tile, ...]:
    """The numbers of a single run; several have a table."""
    if len(runs) != 1:
        return ()
    summary = runs[0].summary
    tiles = [
        Tile(NAMES.get(name, name), percent(summary.figure(name)), _random(summary.baselines, name))
        for name in headline_names(Group((runs[0],)))[:3]
    ]
    tiles.append(Tile("unscored", f"{summary.num_unscored:,}", f"of {summary.num_rows:,} rows"))
    if summary.fidelity and summary.fidelity.get("figures"):
        found = summary.fidelity["figures"]
        tiles.append(Tile("sign agreement", percent(found.get("sign_agreement")), "with the human label's advantages"))
    if summary.seconds:
        tiles.append(Tile("time", f"{summary.seconds / summary.num_rows:.2f} s", "per row"))
    return tuple(tiles)


def _random(baselines: Mapping[str, Mapping[str, Any]], name: str) -> str:
    value = baselines.get("random_flag", {}).get(name)
    return "" if value is None else f"random flags {percent(value)}"
