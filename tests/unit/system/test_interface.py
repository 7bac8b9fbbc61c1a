"""Calls, results, events and refusals of the system contracts by name; eth-abi is the other side."""

from __future__ import annotations

import re

import pytest
from eth_abi import encode

from cybermiles.chain.predeploys import GOVERNANCE, STAKING
from cybermiles.crypto.hashing import keccak256
from cybermiles.system.abi import load_abi, load_document
from cybermiles.system.codec import MalformedData
from cybermiles.system.errors import INTERFACES
from cybermiles.system.interface import (
    GOVERNANCE_ABI,
    SLASHING_ABI,
    STAKING_ABI,
    call_of,
    read_events,
    read_output,
    read_refusal,
)
from cybermiles.system.sentences import SENTENCES, explain
from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.receipt import Log

ALICE = Address(b"\xa1" * 20)
ALICE_TEXT = "0xA1A1a1a1A1A1A1A1A1a1a1a1a1a1A1A1a1A1a1a1"
WEI = 10**18


def selector(signature):
    return keccak256(signature.encode())[:4]


def refusal(signature, *values):
    kinds = signature.partition("(")[2].rstrip(")").split(",")
    return selector(signature) + encode([kind for kind in kinds if kind], values)


def test_a_call_has_the_contracts_address_and_solidity_s_calldata():
    call = call_of(STAKING_ABI, "delegate", ALICE, value=7)
    assert call == (STAKING, bytes.fromhex("5c19a95c") + ALICE.rjust(32, b"\0"), 7)
    assert call_of(GOVERNANCE_ABI, "vote", 3, 1).data == selector("vote(uint256,uint8)") + encode(
        ["uint256", "uint8"], [3, 1]
    )


def test_a_single_result_is_its_value_and_amounts_are_text():
    big = 2**255
    assert read_output(STAKING_ABI, "validatorCount", big.to_bytes(32)) == str(big)
    assert read_output(GOVERNANCE_ABI, "appVersion", (3).to_bytes(32)) == 3
    assert read_output(GOVERNANCE_ABI, "isClaimed", (1).to_bytes(32)) is True


def test_several_results_are_an_object_and_structs_have_their_fields_names():
    held = encode(["bool", "uint64", "uint64", "uint64"], [True, 2**40, 5, 6])
    assert read_output(GOVERNANCE_ABI, "held", held) == {
        "frozen": True,
        "since": 2**40,
        "untilTime": 5,
        "secondsUsed": 6,
    }
    delegation = "(address,uint256,uint256,uint256,uint256,uint32,uint64)"
    page = encode([f"{delegation}[]"], [[("0x" + "a1" * 20, WEI, 2, 3, 4, 50_000, 9)]])
    assert read_output(STAKING_ABI, "delegationsOf", page) == [
        {
            "validator": ALICE_TEXT,
            "principal": str(WEI),
            "awards": "2",
            "slashed": "3",
            "leaving": "4",
            "compRatePpm": 50_000,
            "sinceBlock": 9,
        }
    ]
    assert read_output(STAKING_ABI, "delegationsOf", encode([f"{delegation}[]"], [[]])) == []


def test_enums_are_their_members_and_bytes_are_hex():
    slash = encode(["(uint64,uint8,uint32,uint256,bytes32)[]"], [[(8, 2, 50_000, WEI, b"\xee" * 32)]])
    assert read_output(SLASHING_ABI, "slashes", slash) == [
        {
            "blockNumber": 8,
            "fault": "DoubleVote",
            "ratioPpm": 50_000,
            "amount": str(WEI),
            "evidence": "0x" + "ee" * 32,
        }
    ]
    assert read_output(GOVERNANCE_ABI, "voteOf", encode(["uint8", "uint256", "uint64"], [2, 1, 1]))["choice"] == "No"


def test_what_is_no_result_is_refused():
    with pytest.raises(MalformedData):
        read_output(STAKING_ABI, "validatorCount", b"\x01")


def test_events_are_read_by_address_and_topic_and_others_are_left_out():
    topics, data = load_abi(STAKING_ABI).events["Delegated"].encode((ALICE, ALICE, 5, 6))
    delegated = Log(STAKING, topics, data)
    strangers = [
        Log(ALICE, topics, data),
        Log(GOVERNANCE, topics, data),
        Log(STAKING, (Hash32(b"\1" * 32),), b""),
        Log(STAKING, (), b""),
    ]
    arguments = {"holder": ALICE_TEXT, "validator": ALICE_TEXT, "amount": "5", "stakeNow": "6"}
    assert read_events([*strangers, delegated]) == [(STAKING_ABI, "Delegated", arguments)]


def test_a_refusal_is_read_by_its_selector_whichever_contract_declares_it():
    data = refusal("StakeCapReached(uint256,uint256)", 5, 6)
    assert read_refusal(data) == ("StakeCapReached", {"cap": "5", "wanted": "6"})
    assert read_refusal(refusal("NotAMember()")) == ("NotAMember", {})


@pytest.mark.parametrize("data", [b"", b"\x08\xc3\x79\xa0", bytes(4), selector("StakeCapReached(uint256,uint256)")])
def test_other_revert_data_is_no_refusal(data):
    assert read_refusal(data) is None
    assert explain(data) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            refusal("StakeCapReached(uint256,uint256)", 5 * WEI, 6 * WEI + WEI // 2),
            "the validator's stake would become 6.5 CMT, over its cap of 5 CMT",
        ),
        (
            refusal("ValidatorJailed(uint64)", 86_400),
            "the validator was absent and is jailed; it may activate again from 1970-01-02T00:00:00Z on",
        ),
        (
            refusal("BadCompRate(uint32,uint32)", 999_999, 1_000_000),
            "a rate of 100 % is not allowed; it is over 0 % and 99.9999 % at most",
        ),
        (refusal("AlreadyActive(bool)", True), "the candidacy's state is that already (active: true)"),
    ],
)
def test_a_refusal_is_said_in_a_sentence(data, said):
    assert explain(data) == said


def test_every_error_of_the_contracts_has_a_sentence_that_names_only_its_arguments():
    for interface in INTERFACES:
        for entry in load_document(interface)["abi"]:
            if entry["type"] == "error":
                used = re.findall(r"\{(\w+)", SENTENCES[entry["name"]])
                assert set(used) <= {parameter["name"] for parameter in entry["inputs"]}, entry["name"]
