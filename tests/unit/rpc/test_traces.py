"""Traces beside go-ethereum's of the same transactions, and what a caller may ask of them."""

from __future__ import annotations

import json
import lzma

import pytest

from cybermiles.rpc.traces.options import TRACERS, make_tracer, parse_trace_options
from cybermiles.types.primitives import Address
from cybermiles.vm.backend import CallMessage
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import Fork, ethereum_rules
from cybermiles.vm.tracing import ByteBudget, TraceTooLarge
from tests.factories import ADDRESSES
from tests.oracle.geth_traces import GOLDEN, context, differences, known, run_ours, world_of

CASES = json.loads(lzma.decompress(GOLDEN.read_bytes()))["cases"]
BACKEND = PyEvmBackend(ethereum_rules(Fork.OSAKA, 1))
CONTRACT = Address(b"\xa0" * 20)


def trace(code, options, *, limit=10**6, data=b"", gas=100_000):
    """Return the parsed trace of a call to `code`."""
    tracer, rendered = make_tracer(parse_trace_options(options), ByteBudget(limit))
    alloc = {"0x" + CONTRACT.hex(): {"balance": 0, "nonce": 1, "code": code, "storage": {}}}
    message = CallMessage(sender=ADDRESSES[0], to=CONTRACT, gas=gas, data=data)
    BACKEND.call(world_of(alloc), context(), message, compute_units=None, tracer=tracer)
    return json.loads(rendered.render())


@pytest.mark.parametrize("name", CASES)
def test_traces_are_those_of_geth(name):
    case = CASES[name]
    for geth, ours in zip(case["traces"], run_ours(case), strict=True):
        steps = geth["steps"]["structLogs"]
        assert [found for found in differences(geth, ours) if known(*found, steps) is None] == []


def test_the_golden_traces_differ_where_the_list_of_differences_says_and_hardly_anywhere_else():
    found = sum(
        len(differences(geth, ours)) for case in CASES.values() for geth, ours in zip(case["traces"], run_ours(case))
    )
    assert 0 < found < 40


def test_a_call_of_two_thousand_levels_can_be_rendered():
    """Nested deeper than JSON encoders go. (Gas ends it before the depth does.)"""
    deep = trace("5f5f5f5f5f305af100", {"tracer": "callTracer"}, gas=10**8)
    depth = 0
    while deep.get("calls"):
        (deep,) = deep["calls"]
        depth += 1
    assert depth > 300


@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        ({}, {"stack", "storage"}, {"memory", "returnData"}),
        ({"enableMemory": True}, {"stack", "storage", "memory"}, {"returnData"}),
        ({"disableStack": True, "disableStorage": True}, set(), {"stack", "storage", "memory"}),
        ({"enableReturnData": True, "tracer": ""}, {"stack", "returnData"}, {"memory"}),
    ],
)
def test_struct_logs_have_what_is_asked_for(options, present, absent):
    steps = trace("60016000525f5460205f60205f5f600462fffffff1505f5f5500", options)["structLogs"]
    fields = {name for step in steps for name in step}
    assert present <= fields
    assert not absent & fields


def test_no_more_steps_than_the_limit():
    assert len(trace("5f5f5f5f00", {"limit": 3})["structLogs"]) == 3
    assert len(trace("5f5f5f5f00", {})["structLogs"]) == 5
    assert len(trace("5f5f5f5f00", {"limit": 0})["structLogs"]) == 5


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"enableMemory": True, "disableStack": True},
        {"tracer": "callTracer"},
        {"tracer": "prestateTracer", "tracerConfig": {"disableCode": True}},
        {"tracer": "4byteTracer"},
        {"tracer": "flatCallTracer", "tracerConfig": {"includePrecompiles": True}},
        {"tracer": "muxTracer", "tracerConfig": {"callTracer": {}, "prestateTracer": None}},
    ],
)
def test_a_trace_ends_where_it_grows_over_its_limit(options):
    """Each turn calls an account and with data that no turn before it did."""
    code = "5f5b6001018060e01b5f52805f5f60245f5f8561fffff1508055600156"
    with pytest.raises(TraceTooLarge):
        trace(code, options, limit=20_000, gas=16_000_000)


def test_memory_of_megabytes_is_refused_before_it_is_written_down():
    with pytest.raises(TraceTooLarge):
        trace("5f621fffff5200", {"enableMemory": True}, limit=100_000, gas=16_000_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "an object is expected"),
        ({"tracer": "{data: []}"}, "JavaScript"),
        ({"tracer": "x" * 1000}, "unknown tracer"),
        ({"tracer": 5}, "tracer: a string"),
        ({"tracer": "callTracer", "tracerConfig": []}, "tracerConfig: an object"),
        ({"tracer": "callTracer", "tracerConfig": {"withLog": "yes"}}, "withLog: a boolean"),
        ({"tracer": "prestateTracer", "tracerConfig": {"diffMode": True, "includeEmpty": True}}, "includeEmpty"),
        ({"tracer": "muxTracer", "tracerConfig": {"muxTracer": {}}}, "cannot contain another"),
        ({"tracer": "muxTracer", "tracerConfig": {str(n): {} for n in range(9)}}, "at most 8"),
        ({"tracer": "muxTracer", "tracerConfig": {"nothing": {}}}, "unknown tracer"),
        ({"limit": -1}, "limit"),
        ({"limit": "1"}, "limit"),
        ({"limit": True}, "limit"),
        ({"timeout": 5}, "timeout"),
        ({"enableMemory": 1}, "enablememory: a boolean"),
    ],
)
def test_a_wrong_configuration_is_refused_in_words(options, message):
    with pytest.raises(ValueError, match=message):
        parse_trace_options(options)


def test_every_tracer_is_named_when_one_is_not_known():
    with pytest.raises(ValueError, match="unknown") as caught:
        parse_trace_options({"tracer": "bigramTracer"})
    assert all(name in str(caught.value) for name in TRACERS)


def test_names_of_options_are_taken_in_any_case_and_unknown_ones_are_ignored():
    given = {"EnableMemory": True, "reexec": 128, "timeout": "5s", "debug": True, "tracerConfig": None}
    assert parse_trace_options(given) == parse_trace_options({"enableMemory": True})


def test_selectors_are_counted_with_the_size_of_their_data():
    counts = trace(
        "63aabbccdd60e01b5f52" + "5f5f60245f5f73" + CONTRACT[:19].hex() + "0161fffff1" + "00",
        {"tracer": "4byteTracer"},
        data=bytes.fromhex("11223344") + bytes(5),
    )
    assert counts == {"0x11223344-5": 1, "0xaabbccdd-32": 1}
