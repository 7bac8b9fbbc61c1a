"""`cmt stake`, `gov`, `vesting`, `sponsor` against a node of canned answers: what is signed, shown and refused."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cybermiles.accounts.keystore import Keystore
from cybermiles.chain.predeploys import FEES, GOVERNANCE, STAKING, VESTING
from cybermiles.cli.main import main
from cybermiles.crypto import ed25519
from cybermiles.governance.recovery import leaf_of, root_of
from cybermiles.staking.keys import key_proof_bytes
from cybermiles.system.abi import load_abi
from cybermiles.system.events import event_log
from cybermiles.system.interface import FEES_ABI, GOVERNANCE_ABI, SLASHING_ABI, STAKING_ABI, VESTING_ABI
from cybermiles.types.primitives import Address
from tests.fakes.rpc_server import CHAIN_ID, FakeRpc, Reverts, refusal, serving

ALICE = Address(bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266"))
ALICE_TEXT = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = Address(bytes.fromhex("70997970c51812dc3a010c7d01b50e0d17dc79c8"))
BOB_TEXT = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
BOB_KEY = bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")
CMT = 10**18


@pytest.fixture(scope="module")
def wallet_home(tmp_path_factory):
    """A home whose keystore has Bob, under a password that is quick to check."""
    home = tmp_path_factory.mktemp("wallet")
    Keystore(home / "keystore", iterations=2).add(BOB_KEY, "correct horse", "2026-11-28T00:00:00Z")
    (home / "password").write_text("correct horse\n")
    return home


@pytest.fixture(scope="module")
def server():
    node = FakeRpc()
    with serving(node) as url:
        node.url = url
        yield node


@pytest.fixture
def node(server):
    server.__init__()
    return server


@pytest.fixture
def cmt(node, wallet_home):
    """Run `cmt`; return (exit code, stdout, stderr)."""

    def run(*arguments, signs=False):
        more = ["--rpc", node.url]
        if signs:
            more += ["--home", str(wallet_home), "--password-file", str(wallet_home / "password")]
        result = CliRunner().invoke(main, [*map(str, arguments), *more], env={"CMT_HOME": None, "CMT_RPC": None})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def calldata(interface, function, *arguments):
    return load_abi(interface).functions[function].encode_call(*arguments)


VICTIMS = "victim,amount\n" + f"{BOB_TEXT},1.5\n{ALICE_TEXT},2\n"
PROFILE = ("Blue", "https://blue.example", "Oslo", "", "")


@pytest.mark.parametrize(
    ("arguments", "to", "call", "value"),
    [
        (("stake", "delegate", ALICE_TEXT, 5000), STAKING, (STAKING_ABI, "delegate", ALICE), 5000 * CMT),
        (("stake", "undelegate", ALICE_TEXT, "0.5"), STAKING, (STAKING_ABI, "undelegate", ALICE, CMT // 2), 0),
        (
            ("stake", "redelegate", ALICE_TEXT, BOB_TEXT, 7),
            STAKING,
            (STAKING_ABI, "redelegate", ALICE, BOB, 7 * CMT),
            0,
        ),
        (
            ("stake", "update", 100, "12.5%", "--stake", 3),
            STAKING,
            (STAKING_ABI, "updateCandidacy", 100 * CMT, 125_000),
            3 * CMT,
        ),
        (
            ("stake", "profile", "--name", "Blue", "--website", "https://blue.example", "--location", "Oslo"),
            STAKING,
            (STAKING_ABI, "updateProfile", PROFILE),
            0,
        ),
        (("stake", "comp-rate", ALICE_TEXT, "0.0001%"), STAKING, (STAKING_ABI, "setCompRateFor", ALICE, 1), 0),
        (("stake", "activate"), STAKING, (STAKING_ABI, "activate"), 0),
        (("stake", "deactivate"), STAKING, (STAKING_ABI, "deactivate"), 0),
        (("stake", "withdraw", "--yes"), STAKING, (STAKING_ABI, "withdrawCandidacy"), 0),
        (("stake", "offer", ALICE_TEXT), STAKING, (STAKING_ABI, "offerOwnership", ALICE), 0),
        (("stake", "accept", 3), STAKING, (STAKING_ABI, "acceptOwnership", 3), 0),
        (("stake", "verify", ALICE_TEXT), STAKING, (STAKING_ABI, "setVerified", ALICE, True), 0),
        (("stake", "verify", ALICE_TEXT, "--off"), STAKING, (STAKING_ABI, "setVerified", ALICE, False), 0),
        (("gov", "vote", 3, "no"), GOVERNANCE, (GOVERNANCE_ABI, "vote", 3, 2), 0),
        (("gov", "hold", 3), GOVERNANCE, (GOVERNANCE_ABI, "supportHold", 3), 0),
        (("gov", "cancel", 3), GOVERNANCE, (GOVERNANCE_ABI, "cancel", 3), 0),
        (
            ("gov", "propose-param", "max_vals", 21, "--title", "More"),
            GOVERNANCE,
            (GOVERNANCE_ABI, "proposeParam", "max_vals", "21", 0, "More", "", 0),
            10_000 * CMT,
        ),
        (
            ("gov", "propose-signal", "--title", "T", "--reason", "R", "--bond", 5, "--closes", "1970-01-01T00:01:00Z"),
            GOVERNANCE,
            (GOVERNANCE_ABI, "proposeSignal", "T", "R", 60),
            5 * CMT,
        ),
        (
            ("gov", "propose-upgrade", 2, "--name", "n", "--version", "1.2", "--at-block", 90, "--title", "T"),
            GOVERNANCE,
            (GOVERNANCE_ABI, "proposeUpgrade", ("n", "1.2", 2, 90, bytes(32), ""), "T", "", 0),
            10_000 * CMT,
        ),
        (("vesting", "release"), VESTING, (VESTING_ABI, "release"), 0),
        (("vesting", "delegate", ALICE_TEXT, 9), VESTING, (VESTING_ABI, "delegateLocked", ALICE, 9 * CMT), 0),
        (("vesting", "undelegate", ALICE_TEXT, 9), VESTING, (VESTING_ABI, "undelegateLocked", ALICE, 9 * CMT), 0),
        (("sponsor", "claim", ALICE_TEXT, 0), FEES, (FEES_ABI, "claimSponsorship", ALICE, 0), 0),
        (("sponsor", "fund", ALICE_TEXT, 4), FEES, (FEES_ABI, "fundSponsorship", ALICE), 4 * CMT),
        (
            ("sponsor", "rules", ALICE_TEXT, "--max-gas", 9, "--per-user-day", 5, "--per-day", 2, "--only-listed"),
            FEES,
            (FEES_ABI, "setSponsorRules", ALICE, 9, 5, 2 * CMT, True),
            0,
        ),
        (("sponsor", "user", ALICE_TEXT, BOB_TEXT), FEES, (FEES_ABI, "setSponsoredUser", ALICE, BOB, True), 0),
        (("sponsor", "withdraw", ALICE_TEXT, 1), FEES, (FEES_ABI, "withdrawSponsorship", ALICE, CMT, BOB), 0),
    ],
    ids=lambda value: "-".join(map(str, value[:2])) if isinstance(value, tuple) and value[0] in main.commands else "",
)
def test_each_command_signs_its_function_s_call(cmt, node, arguments, to, call, value):
    code, _, err = cmt(*arguments, signs=True)
    assert code == 0, err
    (sent,) = node.sent
    assert (sent.sender, sent.to, sent.value, sent.data) == (BOB, to, value, calldata(*call))
    assert (sent.chain_id, sent.nonce, sent.gas_limit) == (CHAIN_ID, 4, 187_500)
    assert (sent.max_fee_per_gas, sent.max_priority_fee_per_gas) == (0, 0)


@pytest.mark.parametrize(
    ("estimate", "gas", "price"),
    [(100_000, 125_000, 0), (450_000, 500_000, 0), (500_000, 500_000, 0), (500_001, 625_001, 2 * 10**9)],
)
def test_the_gas_limit_is_a_quarter_over_the_estimate_but_a_free_transaction_stays_free(
    cmt, node, estimate, gas, price
):
    node.estimate = estimate
    assert cmt("stake", "activate", signs=True)[0] == 0
    assert (node.sent[0].gas_limit, node.sent[0].max_fee_per_gas) == (gas, price)


def test_a_recovery_commits_to_the_list_and_a_claim_proves_an_entry(cmt, node, tmp_path):
    listed = tmp_path / "victims.csv"
    listed.write_text(VICTIMS)
    arguments = ("gov", "propose-recovery", "0x" + "66" * 20, "3.5", "--victims", listed, "--title", "T")
    code, _, err = cmt(*arguments, signs=True)
    assert (code, "4/5" in err) == (0, True), err
    assert cmt("gov", "claim", 1, ALICE_TEXT, 2, "--victims", listed, signs=True)[0] == 0
    proposal, claim = node.sent
    functions = load_abi(GOVERNANCE_ABI).functions
    (account, amount, root, _), *_ = functions["proposeRecovery"].decode_arguments(proposal.data)
    assert (account, amount) == (b"\x66" * 20, 35 * CMT // 10)
    id_, victim, part, proof = functions["claim"].decode_arguments(claim.data)
    assert (id_, victim, part) == (1, ALICE, 2 * CMT)
    assert root_of(leaf_of(victim, part), proof) == root
    code, _, err = cmt(*arguments[:3], "3", *arguments[4:], signs=True)
    assert (code, "add up to 3.5 CMT" in err) == (1, True)
    code, _, err = cmt("gov", "claim", 1, ALICE_TEXT, 3, "--victims", listed, signs=True)
    assert (code, "not on the list" in err) == (78, True)


def test_evidence_is_read_from_files(cmt, node, tmp_path):
    first, second, bad = (tmp_path / name for name in ("1", "2", "bad"))
    first.write_text("0x0102\n")
    second.write_text("03")
    bad.write_text("xyz")
    assert cmt("stake", "evidence", first, second, signs=True)[0] == 0
    assert node.sent[0].data == calldata(SLASHING_ABI, "submitEvidence", b"\1\2", b"\3")
    assert cmt("stake", "evidence", first, bad, signs=True)[0] == 2


def test_declaring_proves_the_key_of_the_node_s_home(cmt, node, tmp_path):
    home = tmp_path / "node"
    assert CliRunner().invoke(main, ["init", "--home", str(home)]).exit_code == 0
    document = json.loads((home / "genesis.json").read_text())
    arguments = ("stake", "declare", 100, "10%", "--stake", 10, "--name", "Blue")
    assert cmt(*arguments, "--node-home", home, signs=True)[0] == 0
    printed = CliRunner().invoke(main, ["stake", "key-proof", BOB_TEXT, "--home", str(home), "--json"]).stdout
    proof = json.loads(printed)
    assert cmt(*arguments, "--key", proof["key"], "--proof", proof["proof"], signs=True)[0] == 0
    declare = load_abi(STAKING_ABI).functions["declareCandidacy"]
    by_home, by_proof = (declare.decode_arguments(sent.data) for sent in node.sent)
    key, signature, *rest = by_home
    assert by_home == by_proof
    assert rest == [100 * CMT, 100_000, ("Blue", "", "", "", "")]
    assert node.sent[0].value == 10 * CMT
    assert key.hex() in json.dumps(document["validators"])
    genesis = bytes.fromhex(
        json.loads(CliRunner().invoke(main, ["genesis", "hash", str(home / "genesis.json"), "--json"]).stdout)[
            "genesis_hash"
        ][2:]
    )
    assert ed25519.verify(key, key_proof_bytes(CHAIN_ID, genesis, BOB), signature)
    assert cmt(*arguments, "--key", proof["key"], signs=True)[0] == 2
    code, _, err = cmt("stake", "rotate-key", "--node-home", home, signs=True)
    assert (code, "cmt key rotate" in err) == (78, True)
    rotated = json.loads(CliRunner().invoke(main, ["key", "rotate", "--home", str(home), "--json"]).stdout)
    assert cmt("stake", "rotate-key", "--node-home", home, signs=True)[0] == 0
    new, signature = load_abi(STAKING_ABI).functions["rotateConsensusKey"].decode_arguments(node.sent[-1].data)
    assert "0x" + new.hex() == rotated["new_public_key"] != proof["key"]
    assert ed25519.verify(new, key_proof_bytes(CHAIN_ID, genesis, BOB), signature)


def test_a_dry_run_prints_the_unsigned_transaction_and_needs_no_key(cmt, node):
    code, out, _ = cmt("stake", "delegate", ALICE_TEXT, 5, "--from", ALICE_TEXT, "--dry-run", "--json")
    assert code == 0
    assert node.sent == []
    assert json.loads(out) == {
        "from": ALICE_TEXT,
        "to": "0x0000000000000000000000000000000000434d01",
        "value": hex(5 * CMT),
        "data": "0x" + calldata(STAKING_ABI, "delegate", ALICE).hex(),
        "gas": hex(187_500),
        "maxFeePerGas": "0x0",
        "maxPriorityFeePerGas": "0x0",
        "nonce": "0x4",
        "chainId": hex(CHAIN_ID),
        "type": "0x2",
    }


def test_the_answer_has_the_block_the_fee_and_the_events(cmt, node):
    node.logs = [event_log(STAKING, load_abi(STAKING_ABI), "Delegated", (BOB, ALICE, 5 * CMT, 6 * CMT))]
    code, out, _ = cmt("stake", "delegate", ALICE_TEXT, 5, "--json", signs=True)
    assert code == 0
    assert json.loads(out) == {
        "transaction": "0x" + node.sent[0].hash.hex(),
        "block": 10,
        "gas_used": 21_000,
        "fee": "0",
        "lane": "free",
        "events": [
            {
                "contract": "ICmtStaking",
                "name": "Delegated",
                "arguments": {
                    "holder": BOB_TEXT,
                    "validator": ALICE_TEXT,
                    "amount": str(5 * CMT),
                    "stakeNow": str(6 * CMT),
                },
            }
        ],
    }
    out = cmt("stake", "delegate", ALICE_TEXT, 5, signs=True)[1]
    assert f"5 CMT are staked with {ALICE_TEXT}" in out
    assert f"Delegated: holder {BOB_TEXT}, validator {ALICE_TEXT}, amount 5 CMT, stakeNow 6 CMT" in out


def test_a_refusal_found_by_the_estimate_is_a_sentence_and_nothing_is_sent(cmt, node):
    node.estimate = refusal(STAKING_ABI, "StakeCapReached", 5 * CMT, 6 * CMT)
    code, _, err = cmt("stake", "delegate", ALICE_TEXT, 5, signs=True)
    assert (code, node.sent) == (1, [])
    assert err == "Error: the validator's stake would become 6 CMT, over its cap of 5 CMT\n"
    node.estimate = Reverts()
    assert "may not have the function" in cmt("stake", "activate", signs=True)[2]


def test_a_transaction_that_fails_in_its_block_says_why(cmt, node):
    node.succeeds = False
    node.failure["output"] = "0x" + refusal(STAKING_ABI, "ValidatorTombstoned").data.hex()
    code, _, err = cmt("stake", "activate", signs=True)
    assert code == 1
    assert "failed in block 10: the validator signed twice and is barred for ever" in err


def test_a_transaction_that_no_block_has_in_time_ends_with_code_3_and_a_dropped_one_with_1(cmt, node):
    node.is_mined = False
    code, _, err = cmt("stake", "activate", "--wait", 0, signs=True)
    assert (code, "cmt tx status 0x" in err) == (3, True)
    node.status = {"status": "dropped", "reason": "nonce too low"}
    code, _, err = cmt("stake", "activate", signs=True)
    assert (code, "was dropped: nonce too low" in err) == (1, True)


def test_who_signs_must_be_clear(cmt, tmp_path):
    code, _, err = cmt("stake", "activate", "--home", tmp_path)
    assert (code, "--from" in err) == (1, True)
    code, _, err = cmt("stake", "activate", "--from", "0x12")
    assert (code, "--from" in err) == (78, True)


@pytest.mark.parametrize(
    ("rate", "said"),
    [("5", "in percent"), ("0.00001%", "at most 4 decimal places"), ("x%", "in percent"), ("%", "in percent")],
)
def test_a_rate_is_percent_with_four_places(cmt, rate, said):
    code, _, err = cmt("stake", "comp-rate", ALICE_TEXT, rate, signs=True)
    assert (code, said in err) == (2, True), err


VALIDATOR = (ALICE, b"\1" * 32, 3, 1, 120, 5 * CMT, 2 * CMT, 9 * CMT, 200_000, 7, True, False, 0, 60, False)
CANDIDATE = (BOB, b"\2" * 32, 1, 0, 0, CMT, CMT, CMT, 1, 1, False, False, 9, 0, True)


def test_validators_are_listed_by_rank_page_by_page(cmt, node):
    everyone = [CANDIDATE] * 100 + [VALIDATOR]
    node.answer(STAKING_ABI, "validators", lambda offset, limit: everyone[offset : offset + limit])
    code, out, _ = cmt("stake", "validators", "--json", "--block", "7")
    assert code == 0
    found = json.loads(out)["validators"]
    assert (len(found), found[0]["owner"], found[0]["role"]) == (101, ALICE_TEXT, "Validator")
    assert [block for _, block in node.calls] == ["0x7", "0x7"]
    table = cmt("stake", "validators")[1].splitlines()
    assert table[0].split() == [
        *("rank", "role", "owner", "votingPower", "stake", "selfStake", "compRatePpm", "delegators", "jailedUntil")
    ]
    assert table[1].split() == [
        *("1", "Validator", ALICE_TEXT, "120", "5", "CMT", "2", "CMT", "20", "%", "7", "1970-01-01T00:01:00Z")
    ]


def test_a_validator_is_shown_with_texts_presence_and_punishments(cmt, node):
    node.answer(STAKING_ABI, "validator", VALIDATOR)
    node.answer(STAKING_ABI, "profile", PROFILE)
    node.answer(SLASHING_ABI, "signing", (8, 1, 7200, 1200, 60, False))
    node.answer(SLASHING_ABI, "slashes", [(8, 2, 50_000, CMT, b"\xee" * 32)])
    code, out, _ = cmt("stake", "validator", ALICE_TEXT)
    assert code == 0
    assert "slash in block 8: blockNumber 8; fault DoubleVote; ratioPpm 5 %; amount 1 CMT" in out
    node.answer(STAKING_ABI, "validator", refusal(STAKING_ABI, "UnknownValidator", BOB))
    code, _, err = cmt("stake", "validator", BOB_TEXT)
    assert (code, err) == (1, f"Error: {BOB_TEXT} owns no candidacy; `cmt stake validators` lists who does\n")


def test_lists_of_a_holder_and_awards_of_a_block_are_shown(cmt, node):
    node.answer(STAKING_ABI, "delegationsOf", [(ALICE, CMT, 2 * CMT + 123456789, 0, 0, 1, 9)])
    node.answer(STAKING_ABI, "exitsOf", [(4, ALICE, CMT, 60)])
    node.answer(STAKING_ABI, "delegatorsOf", [BOB])
    node.answer(STAKING_ABI, "awardsPaid", lambda height: ([ALICE], [height * CMT]))
    node.answer(STAKING_ABI, "supply", (10 * CMT, CMT, 0, CMT, 100 * CMT, 80_000))
    assert "2.0000 CMT" in cmt("stake", "delegations", BOB_TEXT)[1]
    assert "1970-01-01T00:01:00Z" in cmt("stake", "exits", BOB_TEXT)[1]
    assert cmt("stake", "delegators", ALICE_TEXT)[1] == BOB_TEXT + "\n"
    assert "5 CMT" in cmt("stake", "awards", 5)[1]
    assert node.calls[-1][1] == "0x5"
    assert json.loads(cmt("stake", "awards", "--json")[1]) == {
        "block": 9,
        "awards": [{"owner": ALICE_TEXT, "amount": str(9 * CMT)}],
    }
    assert "inflationPpm  8 %" in cmt("stake", "supply")[1]


PROPOSAL = (1, 2, 3, BOB, 9, 60, 60, 120, 180, 0, 2 * CMT, CMT, 4 * CMT, 0, 0, CMT, False, "More", "why", "")


def test_proposals_parameters_and_frozen_accounts_are_shown(cmt, node):
    node.answer(GOVERNANCE_ABI, "proposals", [PROPOSAL])
    node.answer(GOVERNANCE_ABI, "openProposals", [1])
    node.answer(GOVERNANCE_ABI, "proposal", PROPOSAL)
    node.answer(GOVERNANCE_ABI, "paramChange", ("max_vals", "19", "21", 100))
    node.answer(GOVERNANCE_ABI, "voteOf", (1, CMT, 9))
    node.answer(GOVERNANCE_ABI, "heldAccounts", [ALICE])
    node.answer(GOVERNANCE_ABI, "held", (True, 60, 120, 0))
    node.answer(GOVERNANCE_ABI, "param", ("19", "validators", "1", "100", True))
    node.answer(GOVERNANCE_ABI, "paramHistory", [(9, "19")])
    for arguments in (("proposals",), ("proposals", "--open")):
        code, out, err = cmt("gov", *arguments)
        assert (code, "50 % (2 CMT)" in out) == (0, True), err
    shown = json.loads(cmt("gov", "show", 1, "--json")[1])
    assert shown["proposal"]["status"] == "Passed"
    assert shown["paramChange"] == {"name": "max_vals", "oldValue": "19", "newValue": "21", "fromBlock": 100}
    assert "choice   Yes" in cmt("gov", "vote-of", 1, BOB_TEXT)[1]
    assert "1970-01-01T00:02:00Z" in cmt("gov", "frozen")[1]
    assert "since block 9: 19" in cmt("gov", "param", "max_vals")[1]
    assert "max_vals" in cmt("gov", "params")[1]


def test_grants_and_sponsorships_are_shown(cmt, node):
    grant = (ALICE, 4 * CMT, 60, 120, CMT, 0, 0, BOB, "team")
    node.answer(VESTING_ABI, "grants", [grant])
    node.answer(VESTING_ABI, "grantOf", grant)
    node.answer(VESTING_ABI, "locked", CMT)
    node.answer(VESTING_ABI, "releasable", 2 * CMT)
    node.answer(FEES_ABI, "sponsorBudget", (BOB, 3 * CMT, 9, 5, 2 * CMT, False, 0))
    assert "team" in cmt("vesting", "list")[1]
    assert "releasable    2 CMT" in cmt("vesting", "show", ALICE_TEXT)[1]
    assert "balance          3 CMT" in cmt("sponsor", "show", ALICE_TEXT)[1]


def test_a_block_is_a_number_or_a_tag(cmt):
    code, _, err = cmt("stake", "supply", "--block", "newest")
    assert (code, "--block newest" in err) == (2, True)
