"""docs/settings.md and docs/cli.md say what the code does: keys, defaults and verbs are compared with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cybermiles.cli.main import main
from cybermiles.consensus.core.timeouts import Timeouts
from cybermiles.mempool.limits import PoolLimits
from cybermiles.node import config
from cybermiles.p2p.config import P2PConfig
from cybermiles.rpc.config import RpcLimits
from cybermiles.runtime.metrics import field_docstrings

DOCS = Path(__file__).parents[3] / "docs"
GROUPS = {
    "rpc": (RpcLimits, ""),
    "mempool": (PoolLimits, ""),
    "p2p": (P2PConfig, ""),
    "consensus": (Timeouts, "timeout_"),
}
"""Plain dataclasses whose fields are keys, and what stands before their names."""


def meanings():
    """Return every key with its meaning, "" where its name says it all."""
    found = {}
    for section, model in config._SECTIONS.items():
        found |= {f"{section}.{name}": field.description for name, field in model.model_fields.items()}
    for section, (group, prefix) in GROUPS.items():
        helps = field_docstrings(group)
        for name in group.__dataclass_fields__:
            found.setdefault(f"{section}.{prefix}{name}", helps.get(name, ""))
    return found


def ordered(keys):
    """Sections in order of their names, keys as they are defined: a meaning may refer to the key above."""
    return sorted(keys, key=lambda key: key.partition(".")[0])


def row(key, default, meaning):
    return f"| `{key}` | `{json.dumps(default)}` | {meaning} |".replace("|  |", "| |")


def test_every_key_is_in_its_sections_table_with_its_default():
    defaults, meaning = config.default_values(), meanings()
    expected = [row(key, defaults[key], meaning[key]) for key in ordered(defaults)]
    page = [line for line in (DOCS / "settings.md").read_text().splitlines() if line.startswith("| `")]
    assert page == expected, "docs/settings.md is out of date; its tables should be:\n" + "\n".join(expected)


def test_what_the_presets_change_is_said():
    text = " ".join((DOCS / "settings.md").read_text().split())
    for key, value in config._PRESETS["devnet"].items():
        assert f"`{key}` = `{json.dumps(value)}`" in text
    assert not config._PRESETS["testnet"]
    assert not config._PRESETS["mainnet"]


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
