"""docs/ says what the code does: generated pages are up to date, and every verb is on the page of commands."""

from __future__ import annotations

import re

import pytest

from cybermiles.cli.main import main
from tests.pages import DOCS, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_is_made_from_code_is_up_to_date(name):
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "write it again: python -m tests.pages"


def verbs(group=main, path="cmt"):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


@pytest.mark.parametrize("verb", list(verbs()))
def test_every_verb_is_on_the_page(verb):
    group, _, name = verb.rpartition(" ")
    cells = [line.split("|")[1] for line in (DOCS / "cli.md").read_text().splitlines() if line.startswith("| `cmt")]
    assert any(re.search(rf"`{verb}\b", cell) or (f"`{group} " in cell and f"`{name}`" in cell) for cell in cells)
