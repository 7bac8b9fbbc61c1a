"""Errors are raised in one process and answered in another: each of them survives being pickled, whatever it takes."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil

import pytest

import cybermiles
from cybermiles.errors import CybermilesError
from cybermiles.p2p.node_info import Refusal, RefusalCode
from cybermiles.vm.backend import ExecutionResult, Failure

ARGUMENTS = {
    "result": ExecutionResult(
        failure=Failure.REVERT, gas_used=1, gas_refund=0, compute_units=1, output=b"why", logs=(), contract_address=None
    ),
    "code": -32_000,
    "data": "0x01",
    "error": {"code": -32_000, "message": "no"},
    "refusal": Refusal(RefusalCode(1), "busy"),
    "got": 1,
    "expected": 2,
}
"""What constructors get by the name of their parameter; everything else gets a text."""


def every_error():
    for module in pkgutil.walk_packages(cybermiles.__path__, "cybermiles."):
        if module.name != "cybermiles.__main__":
            importlib.import_module(module.name)
    found, waiting = [], [CybermilesError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return sorted(
        {kind for kind in found if kind.__module__.startswith("cybermiles")},
        key=lambda kind: (kind.__module__, kind.__qualname__),
    )


def example(kind):
    if kind.__init__ is Exception.__init__:
        return kind("what happened")
    args, named = [], {}
    for parameter in inspect.signature(kind).parameters.values():
        value = ARGUMENTS.get(parameter.name, "text")
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = value
        elif parameter.kind is parameter.VAR_POSITIONAL:
            args += ["one", 2]
        else:
            args.append(value)
    return kind(*args, **named)


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__qualname__)
def test_an_error_comes_back_from_another_process_as_it_was(kind):
    error = example(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.args, vars(copy)) == (str(error), error.args, vars(error))
