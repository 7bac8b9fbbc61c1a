"""The original's queries: names, shapes, heights."""

import pytest

from cybermiles.rpc.jsonrpc import EXECUTION_REVERTED, INVALID_PARAMS, SERVER_ERROR
from cybermiles.rpc.quantities import encode_checksummed
from cybermiles.system.abi import load_abi
from cybermiles.system.interface import SLASHING_ABI, STAKING_ABI
from cybermiles.types.primitives import WEI_PER_CMT
from tests.fakes.rpc import OTHER, SENDER, STRANGER, VALIDATOR, FakeNode, hexed, reverted

KEY = b"\x12" * 32
KEY_TEXT = "EhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhI="
INACTIVE = (1, 0, 0, WEI_PER_CMT, WEI_PER_CMT, WEI_PER_CMT, 1, 1, False, True, 1, 60, True)
CANDIDATE = {
    "id": 1,
    "pub_key": {"type": "tendermint/PubKeyEd25519", "value": KEY_TEXT},
    "owner_address": encode_checksummed(SENDER),
    "shares": str(5 * WEI_PER_CMT),
    "self_stake": str(2 * WEI_PER_CMT),
    "voting_power": 120,
    "tendermint_voting_power": 120,
    "max_shares": str(9 * WEI_PER_CMT),
    "comp_rate": "1/5",
    "created_at": 1_700_000_002,
    "description": {"name": "alice", "website": "", "location": "", "email": "", "profile": ""},
    "verified": "N",
    "active": "Y",
    "block_height": 2,
    "rank": 0,
    "state": "Validator",
    "num_of_delegators": 7,
    "jailed_until": 0,
    "tombstoned": "N",
}


@pytest.fixture
def node():
    return FakeNode()


@pytest.mark.asyncio
async def test_a_validator_has_the_original_s_shape(node):
    assert await node.result("cmt_queryValidator", hexed(SENDER)) == {"height": 5, "data": CANDIDATE}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("height", "meant"), [(0, 5), (3, 3), ("0x3", 3), ("latest", 5), ("earliest", 0), (None, 5), ("0x0", 0)]
)
async def test_a_height_is_a_number_or_any_reference_and_0_is_the_newest(node, height, meant):
    assert (await node.result("cmt_queryValidator", hexed(SENDER), height))["height"] == meant
    assert {asked[2] for asked in node.executor.asked} == {meant}


@pytest.mark.asyncio
@pytest.mark.parametrize("height", [-1, 1.5, "x", True, [1]])
async def test_what_is_no_height_is_refused(node, height):
    assert (await node.error("cmt_queryValidators", height))["code"] == INVALID_PARAMS


@pytest.mark.asyncio
async def test_heights_above_the_head_and_pruned_states_are_errors(node):
    assert (await node.error("cmt_queryValidators", 6))["message"] == "header not found"
    node.chain.pruned_below = 3
    assert "missing trie node" in (await node.error("cmt_queryValidator", hexed(SENDER), 2))["message"]


@pytest.mark.asyncio
async def test_who_owns_no_candidacy_has_no_data(node):
    error = await node.error("cmt_queryValidator", hexed(STRANGER))
    assert (error["code"], error["message"][:31]) == (SERVER_ERROR, "No data returned for query: the")


@pytest.mark.asyncio
async def test_the_list_has_the_active_ones_by_rank_from_an_offset(node):
    second = (2, 2, 3, *VALIDATOR[3:])
    unranked = (1, 0, 0, *VALIDATOR[3:])
    everyone = [(OTHER, KEY, *unranked), (OTHER, KEY, *second), (STRANGER, KEY, *INACTIVE), (SENDER, KEY, *VALIDATOR)]
    node.executor.answer(STAKING_ABI, "validators", lambda offset, limit: everyone[offset : offset + limit])
    found = (await node.result("cmt_queryValidators"))["data"]
    assert [(entry["rank"], entry["state"], entry["tendermint_voting_power"]) for entry in found] == [
        (0, "Validator", 120),
        (1, "Backup Validator", 3),
        (-1, "Candidate", 0),
    ]
    assert found[0] == CANDIDATE
    found = (await node.result("cmt_queryValidators", 0, 2))["data"]
    assert [entry["owner_address"] for entry in found] == [encode_checksummed(SENDER)]


@pytest.mark.asyncio
async def test_a_delegation_has_the_original_s_amounts(node):
    node.executor.answer(STAKING_ABI, "delegationsOf", [(SENDER, 100, 20, 5, 30, 50_000, 3)])
    answer = await node.result("cmt_queryDelegator", hexed(OTHER))
    assert answer == {
        "height": 5,
        "data": [
            {
                "delegator_address": encode_checksummed(OTHER),
                "pub_key": CANDIDATE["pub_key"],
                "validator_address": encode_checksummed(SENDER),
                "candidate_id": 1,
                "delegate_amount": "130",
                "award_amount": "20",
                "withdraw_amount": "0",
                "pending_withdraw_amount": "30",
                "slash_amount": "5",
                "shares": "115",
                "comp_rate": "1/20",
                "created_at": 1_700_000_003,
                "state": "Y",
                "block_height": 3,
            }
        ],
    }
    only = answer["data"][0]
    taken = sum(int(only[f"{name}_amount"]) for name in ("withdraw", "slash", "pending_withdraw"))
    assert int(only["shares"]) == int(only["delegate_amount"]) + int(only["award_amount"]) - taken


@pytest.mark.asyncio
async def test_awards_are_those_of_the_block_asked_for(node):
    node.executor.answer(STAKING_ABI, "awardsPaid", lambda height: ([SENDER], [height * 7]))
    assert await node.result("cmt_queryAwardInfos", 3) == {
        "height": 3,
        "data": [{"address": encode_checksummed(SENDER), "state": "Validator", "amount": "21"}],
    }


@pytest.mark.asyncio
async def test_absences_are_those_of_elected_ones_by_key(node):
    owners = {SENDER: (4, 2, 7200, 1200, 0, False), OTHER: (5, 0, 7200, 1200, 0, False)}
    everyone = [(owner, bytes([number]) * 32, *VALIDATOR) for number, owner in enumerate(owners)]
    node.executor.answer(STAKING_ABI, "validators", [*everyone, (STRANGER, KEY, *INACTIVE)])
    node.executor.answer(SLASHING_ABI, "signing", lambda owner: owners[owner])
    data = (await node.result("cmt_queryAbsentValidators"))["data"]
    assert data == {"Validators": {"A" * 43 + "=": {"Count": 2, "LastBlockHeight": 3}}}


@pytest.mark.asyncio
async def test_a_refusal_of_the_contract_is_said_in_words(node):
    data = load_abi(STAKING_ABI).errors["PageTooLong"].encode((100,))
    node.executor.answer(STAKING_ABI, "validators", reverted(data))
    error = await node.error("cmt_queryValidators")
    assert error["code"] == EXECUTION_REVERTED
    assert error["message"] == "execution reverted: a page of a list has 100 items at most"
    assert error["data"] == hexed(data)
