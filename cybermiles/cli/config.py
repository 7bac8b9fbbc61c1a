"""cmt config show | path."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from cybermiles.cli.options import home_option, resolve_home
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.node.config import load_config
from cybermiles.node.data_dir import DataDir

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def config() -> None:
    """The node's settings."""


@config.command()
@home_option
@click.option("--origin", is_flag=True, help="Say where each value came from.")
@json_option
@reports_errors
def show(*, home: Path | None, origin: bool, as_json: bool) -> None:
    """Show every setting with its effective value.

    \b
    Example:
      cmt config show --origin
    """
    settings = load_config(resolve_home(home)).settings
    data = {s.key: {"value": s.value, "origin": s.origin} if origin else s.value for s in settings}
    lines = (f"{s.key} = {json.dumps(s.value)}" + (f"    # {s.origin}" if origin else "") for s in settings)
    answer(data, "\n".join(lines), as_json=as_json)


@config.command()
@home_option
@json_option
@reports_errors
def path(*, home: Path | None, as_json: bool) -> None:
    """Print where the configuration file is read from.

    \b
    Example:
      cmt config path
    """
    where = str(DataDir(resolve_home(home)).config)
    answer({"path": where}, where, as_json=as_json)
