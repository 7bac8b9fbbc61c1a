"""Parameters and proposals in the original's shapes."""

from dataclasses import replace

import pytest

from cybermiles.rpc.quantities import encode_checksummed
from cybermiles.system.interface import GOVERNANCE_ABI
from tests.fakes.rpc import OTHER, SENDER, FakeNode


@pytest.fixture
def node():
    return FakeNode()


def proposal(id_, kind, status, *, frozen=False, outcome=""):
    return (id_, kind, status, SENDER, 2, 10, 20, 30, 40, 0, 50, 60, 120, 0, 0, 7, frozen, "title", "why", outcome)


SHOWN = {
    "Id": "1",
    "Type": "change_param",
    "Proposer": encode_checksummed(SENDER),
    "BlockHeight": 2,
    "ExpireTimestamp": 30,
    "ExpireBlockHeight": 0,
    "Result": "",
    "ResultMsg": "",
    "ResultBlockHeight": 0,
    "Detail": {"name": "max_vals", "value": "21", "old_value": "19", "from_block": 90, "reason": "why"},
    "Status": "Voting",
    "Title": "title",
    "OpenTimestamp": 20,
    "ExecuteTimestamp": 40,
    "YesPower": "50",
    "NoPower": "60",
    "TotalPower": "120",
    "Bond": "7",
    "Frozen": False,
}


@pytest.mark.asyncio
async def test_a_proposal_has_the_original_s_keys_and_its_detail(node):
    everything = [proposal(1, 2, 2)]
    node.executor.answer(GOVERNANCE_ABI, "proposals", lambda offset, limit: everything[offset : offset + limit])
    node.executor.answer(GOVERNANCE_ABI, "paramChange", ("max_vals", "19", "21", 90))
    assert await node.result("cmt_queryProposals", 3) == {"height": 3, "data": [SHOWN]}
    assert {asked[2] for asked in node.executor.asked} == {3}
    assert (await node.result("cmt_queryProposals", 0, 1))["data"] == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "type_", "function", "terms", "detail"),
    [
        (
            1,
            "transfer_fund",
            "recovery",
            (OTHER, 9, b"\x11" * 32, b"\x22" * 32),
            {"from": encode_checksummed(OTHER), "amount": "9", "victims_root": "0x" + "11" * 32},
        ),
        (
            3,
            "upgrade_program",
            "upgrade",
            ("n", "1.2", 2, 99, b"\x33" * 32, "https://x"),
            {
                "name": "n",
                "version": "1.2",
                "app_version": 2,
                "file_url": "https://x",
                "artifact_hash": "0x" + "33" * 32,
                "upgrade_block_height": 99,
            },
        ),
        (4, "signal", None, None, {}),
    ],
)
async def test_each_kind_has_the_original_s_type(node, kind, type_, function, terms, detail):
    node.executor.answer(GOVERNANCE_ABI, "proposals", [proposal(1, kind, 2)])
    if function:
        node.executor.answer(GOVERNANCE_ABI, function, terms)
    (shown,) = (await node.result("cmt_queryProposals"))["data"]
    assert (shown["Type"], shown["Detail"]) == (type_, {**detail, "reason": "why"})


@pytest.mark.asyncio
async def test_a_status_has_the_original_s_result(node):
    node.executor.answer(GOVERNANCE_ABI, "proposals", [proposal(status, 4, status) for status in range(1, 9)])
    shown = (await node.result("cmt_queryProposals"))["data"]
    assert [(entry["Status"], entry["Result"]) for entry in shown] == [
        ("Notice", ""),
        ("Voting", ""),
        ("Passed", "Approved"),
        ("Rejected", "Rejected"),
        ("Expired", "Expired"),
        ("Cancelled", "Cancelled"),
        ("Executed", "Approved"),
        ("Failed", "fail"),
    ]


@pytest.mark.asyncio
async def test_parameters_are_those_after_the_height(node):
    node.chain.older_params[2] = replace(node.chain.params, max_vals=7)
    before, now = await node.result("cmt_queryParams", 2), await node.result("cmt_queryParams")
    assert (before["height"], before["data"]["max_vals"]) == (2, "7")
    assert (now["height"], now["data"]) == (5, node.chain.params.to_strings())
