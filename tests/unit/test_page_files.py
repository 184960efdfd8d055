"""The page's files: all of them served, none of them from elsewhere, and no way from text to markup."""

from __future__ import annotations

import re

import pytest

from reward_server.web.assets import HEADERS, NAMES, SCRIPTS, read_assets
from tests.unit.page_styles import STATIC

SOURCES = {path.name: path.read_text(encoding="utf-8") for path in STATIC.iterdir()}
MARKUP_FROM_TEXT = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|DOMParser|createContextualFragment|srcdoc"
    r"|\beval\b|new Function|\bFunction\(|setTimeout\(\s*[\"'`]|setInterval|javascript:|import\("
)


def test_the_list_is_the_folder() -> None:
    assert set(NAMES) == set(SOURCES)
    assert [asset.body for asset in read_assets()] == [SOURCES[name].encode() for name in NAMES]
    assert len({asset.path for asset in read_assets()}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_turns_text_into_markup_or_code(name: str) -> None:
    assert MARKUP_FROM_TEXT.findall(SOURCES[name]) == []


@pytest.mark.parametrize(
    "sample", ["x.innerHTML = y", "el.insertAdjacentHTML('a', b)", "eval(x)", "setTimeout('f()')", "import('x')"]
)
def test_the_search_finds_what_it_is_for(sample: str) -> None:
    assert MARKUP_FROM_TEXT.search(sample)


def test_nothing_comes_from_elsewhere() -> None:
    for name, source in SOURCES.items():
        addresses = set(
            re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'>]*", re.sub(r"^\s*//.*$", "", source, flags=re.M))
        )
        assert addresses <= {"http://www.w3.org/2000/svg"}, name


def test_markup_holds_no_script_no_style_and_no_handler() -> None:
    html = SOURCES["index.html"]
    assert re.findall(r"<script\b[^>]*>", html) == ['<script type="module" src="static/main.js">']
    assert "</script>" in html
    assert not re.search(r"<style|\sstyle=|\son\w+=", html)
    assert set(re.findall(r'(?:src|href)="([^"#]+)"', html)) == {
        "static/main.js",
        "static/style.css",
        "static/icon.svg",
    }


def test_every_module_is_imported_by_one_that_is() -> None:
    reached, todo = set(), ["main"]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += re.findall(r'from "\./(\w+)\.js"', SOURCES[f"{name}.js"])
    assert reached == set(SCRIPTS)


def test_files_are_small() -> None:
    assert {name for name, source in SOURCES.items() if len(source.splitlines()) > 300} == set()


def test_the_policy_lets_nothing_in_but_the_servers_own() -> None:
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
