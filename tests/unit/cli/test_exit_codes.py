"""Which error ends a command with which code: service managers act on them."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from cybermiles.cli.output import reports_errors
from cybermiles.errors import (
    ConfigError,
    InvariantViolation,
    NonceTooLow,
    StorageError,
    UpgradeRequired,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NonceTooLow("x"), 1),
        (InvariantViolation("x"), 70),
        (StorageError("x"), 74),
        (UpgradeRequired("block 40 needs version 2"), 75),
        (ConfigError("x"), 78),
    ],
)
def test_the_class_of_an_error_is_its_exit_code(error, code):
    @click.command()
    @reports_errors
    def command():
        raise error

    result = CliRunner().invoke(command)
    assert (result.exit_code, result.stderr) == (code, f"Error: {error}\n")
