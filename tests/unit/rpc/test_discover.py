"""`rpc_discover`: complete, made of what there is, and true of real requests and answers."""

from __future__ import annotations

import inspect
import json

import pytest

from cybermiles.errors import InvariantViolation
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.namespaces.dev import Dev
from cybermiles.rpc.namespaces.rpc import Rpc
from cybermiles.rpc.openrpc.document import describe_method, shown_name
from cybermiles.rpc.openrpc.results import OF_METHOD
from cybermiles.rpc.openrpc.schemas import OF_NAME
from cybermiles.rpc.quantities import parse_data
from tests.fakes.rpc import FakeNode, valid_requests

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema checks the document against requests and answers")

NODE = FakeNode()
REQUESTS = valid_requests(NODE)
DATA = Param(parse_data)


@pytest.fixture(scope="module")
def parsed():
    return json.loads(NODE.dispatcher._methods["rpc_discover"].handler().data)


def check(parsed, schema, value):
    jsonschema.Draft202012Validator({**schema, "components": parsed["components"]}).validate(value)


def method_of(parsed, name):
    return next(method for method in parsed["methods"] if method["name"] == name)


def test_every_served_method_is_described_once_and_no_other_is(parsed):
    assert [method["name"] for method in parsed["methods"]] == list(NODE.dispatcher.method_names)
    assert parsed["openrpc"].startswith("1.")
    for method in parsed["methods"]:
        assert method["summary"].endswith(".")
        assert method["x-weight"] == NODE.dispatcher._methods[method["name"]].weight
        names = [param["name"] for param in method["params"]]
        assert len(set(names)) == len(names)


def test_every_schema_is_one_and_every_reference_leads_somewhere(parsed):
    def references(value):
        if isinstance(value, dict):
            yield from [value["$ref"]] if "$ref" in value else []
            value = list(value.values())
        if isinstance(value, list):
            for entry in value:
                yield from references(entry)

    known = {f"#/components/schemas/{name}" for name in parsed["components"]["schemas"]}
    assert set(references(parsed)) == known
    for schema in parsed["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "params"), REQUESTS, ids=[f"{m}-{i}" for i, (m, _) in enumerate(REQUESTS)])
async def test_a_request_and_its_answer_are_as_described(parsed, name, params):
    method = method_of(parsed, name)
    for param, value in zip(method["params"], params, strict=False):
        if value is not None:
            check(parsed, param["schema"], value)
    assert all(not param["required"] for param in method["params"][len(params) :])
    check(parsed, method["result"]["schema"], await FakeNode().result(name, *params))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("eth_getBalance", ["0x12"]),
        ("eth_getBlockByNumber", ["newest"]),
        ("eth_call", [{"from": 1}]),
        ("eth_call", [{"accessList": [{"storageKeys": []}]}]),
        ("eth_getLogs", [{"topics": ["0x1"]}]),
        ("cmt_buildVote", [{"id": "0x1"}]),
        ("eth_simulateV1", [{"blockStateCalls": [{"calls": [{"gas": "1"}]}]}]),
    ],
)
def test_a_wrong_request_is_not_as_described(parsed, name, params):
    with pytest.raises(jsonschema.ValidationError):
        check(parsed, method_of(parsed, name)["params"][0]["schema"], params[0])


def test_a_model_is_described_field_by_field(parsed):
    schemas = parsed["components"]["schemas"]
    assert {"from", "to", "maxFeePerGas", "accessList", "authorizationList"} <= set(schemas["CallObject"]["properties"])
    assert schemas["AuthorizationEntry"]["required"] == ["chainId", "address", "nonce", "yParity", "r", "s"]


def test_the_methods_of_development_networks_are_described_too():
    for method in Dev(None, None, None, None, None, None).methods():
        assert describe_method(method)["summary"]


def test_of_two_methods_with_one_name_the_one_that_is_served_is_described():
    table = [Method(name="eth_new", handler=undocumented), Method(name="eth_new", handler=documented, params=(DATA,))]
    (described, *_) = json.loads(Rpc((), table).discover().data)["methods"]
    assert (described["name"], described["summary"]) == ("eth_new", "Say so.")


def undocumented(_value):
    pass


def documented(_value) -> str:
    """Say so."""


@pytest.mark.parametrize(
    ("handler", "param"),
    [(undocumented, Param(lambda value: value, schema={"type": "string"})), (documented, Param(lambda value: value))],
)
def test_a_method_that_does_not_say_what_it_is_cannot_be_described(handler, param):
    with pytest.raises(InvariantViolation):
        describe_method(Method(name="eth_new", handler=handler, params=(param,)))


def test_names_are_as_callers_write_them():
    assert [shown_name(name) for name in ("reference", "_index", "page_size", "tx_hash")] == [
        "block",
        "index",
        "pageSize",
        "hash",
    ]


def test_no_entry_of_the_tables_is_about_something_that_is_gone(parsed):
    served = set(NODE.dispatcher.method_names)
    assert set(OF_METHOD) <= served
    used = set()
    for method in NODE.dispatcher._methods.values():
        signature = inspect.signature(method.handler)
        used |= set(signature.parameters)
    assert set(OF_NAME) <= used
