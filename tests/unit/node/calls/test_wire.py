"""What a call worker that was taken over may say: its pickles make values, and change nothing of the node."""

from __future__ import annotations

import pickle
import sys
from fractions import Fraction

import pytest

from cybermiles.errors import InvalidBlock, ProtocolViolation
from cybermiles.execution.simulate import AccountOverride
from cybermiles.node.calls.wire import pickled, unpickled
from cybermiles.rpc.block_jobs import Part
from cybermiles.rpc.jsonrpc import RawJson, RpcError
from cybermiles.rpc.logs import FoundLogs
from cybermiles.types.primitives import Address, Hash32, Wei
from cybermiles.vm.backend import ExecutionResult, Failure

RESULT = ExecutionResult(
    failure=Failure.REVERT, gas_used=1, gas_refund=2, compute_units=3, output=b"\x01", logs=(), contract_address=None
)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1, -(2**300), 0.5, "text", b"\x00", {"a": (True, None)}],
        {1, 2},
        frozenset({b"x"}),
        bytearray(b"abc"),
        Address(b"\x01" * 20),
        {Hash32(b"\x02" * 32): Wei(7)},
        Fraction(3, 7),
        RESULT,
        Part.RAW,
        FoundLogs(b"[]", 7, None),
        AccountOverride(balance=1, state={1: 2}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_come_back_as_they_were(value):
    assert unpickled(pickled(value)) == value
    assert type(unpickled(pickled(value))) is type(value)


def test_errors_and_finished_json_come_back_as_they_were():
    error = unpickled(pickled(InvalidBlock("gas", got=RESULT, expected=2)))
    assert (type(error), str(error), error.got, error.expected) == (
        InvalidBlock,
        f"gas: got {RESULT}, expected 2",
        RESULT,
        2,
    )
    refused = unpickled(pickled(RpcError(-32000, "no", ["0x"])))
    assert (type(refused), refused.code, refused.message, refused.data) == (RpcError, -32000, "no", ["0x"])
    assert unpickled(pickled(RawJson(b"{}"))).data == b"{}"


def found(module, name):
    return b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name)) + pickle.STACK_GLOBAL


def number(value):
    size = (value.bit_length() + 8) // 8
    return pickle.LONG1 + bytes([size]) + value.to_bytes(size, "little")


def text(value):
    return pickle.SHORT_BINUNICODE + bytes([len(value)]) + value.encode()


def attribute(target, name, value):
    """A pickle that sets an attribute of what it found, as `pickle` sets those of objects with slots."""
    state = pickle.EMPTY_DICT + text(name) + value + pickle.SETITEM
    return found(*target) + pickle.NONE + state + pickle.TUPLE2 + pickle.BUILD


def called(target, *arguments):
    return found(*target) + b"".join(arguments) + {1: pickle.TUPLE1, 2: pickle.TUPLE2}[len(arguments)] + pickle.REDUCE


FRACTION = ("fractions", "Fraction")
OVERRIDE = ("cybermiles.execution.simulate", "AccountOverride")
ERROR = ("cybermiles.errors", "InvalidBlock")
HOSTILE = {
    "sets an attribute of a class": attribute(FRACTION, "__add__", pickle.NONE),
    "sets an attribute of a dataclass": attribute(OVERRIDE, "balance", pickle.NONE),
    "sets an attribute of an error": attribute(ERROR, "__reduce__", pickle.NONE),
    "sets what a stand-in stands for": attribute(OVERRIDE, "real", found(*FRACTION)),
    "sets an item of a class": found(*OVERRIDE)
    + pickle.EMPTY_DICT
    + text("x")
    + pickle.NONE
    + pickle.SETITEM
    + pickle.BUILD,
    "makes zeros": called(("builtins", "bytearray"), number(1 << 33)),
    "makes zeros of this package's bytes": found("cybermiles.types.primitives", "Address")
    + number(1 << 33)
    + pickle.TUPLE1
    + pickle.NEWOBJ,
    "makes a long number": called(FRACTION, text("1e999999999")),
    "calls a constructor": called(OVERRIDE, pickle.NONE),
    "loads a module": found("cybermiles.cli.devnet", "Devnet"),
    "finds a function": found("cybermiles.errors", "restore_error2"),
    "finds a function of another's": found("os", "abort"),
    "finds inside": found("cybermiles.errors", "InvalidBlock.__init__"),
    "raises no error": found("cybermiles.errors", "restore_error")
    + found(*OVERRIDE)
    + pickle.EMPTY_TUPLE
    + pickle.EMPTY_DICT
    + pickle.TUPLE3
    + pickle.REDUCE,
    "raises nothing": found("cybermiles.errors", "restore_error")
    + pickle.NONE
    + pickle.EMPTY_TUPLE
    + pickle.EMPTY_DICT
    + pickle.TUPLE3
    + pickle.REDUCE,
    "ends early": b"",
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_pickle_is_refused_and_changes_nothing(code):
    before, loaded = [dict(vars(kind)) for kind in (Fraction, AccountOverride, InvalidBlock)], set(sys.modules)
    with pytest.raises(ProtocolViolation):
        unpickled(pickle.PROTO + b"\x05" + code + pickle.STOP)
    assert [dict(vars(kind)) for kind in (Fraction, AccountOverride, InvalidBlock)] == before
    assert set(sys.modules) == loaded
