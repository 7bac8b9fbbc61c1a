"""The height being decided as operators see it."""

from __future__ import annotations

from dataclasses import replace

from cybermiles.consensus.core.round_state import RoundValue, Step
from cybermiles.consensus.messages import RoundView
from cybermiles.node.consensus_view import consensus_status, node_identity, with_names
from cybermiles.node.info import LocalNode
from cybermiles.rpc.ports import SyncProgress
from cybermiles.types.validator import Validator, ValidatorSet, consensus_address
from cybermiles.types.vote import Vote, VoteType
from tests.unit.rpc.test_operator_pages import PEER

KEYS = [bytes([n]) * 32 for n in range(1, 4)]
SET = ValidatorSet(tuple(Validator(key, b"\x0a" * 20, power) for key, power in zip(KEYS, (4, 3, 2), strict=True)))
ALICE, BOB, CAROL = SET.validators
NAMES = {ALICE.address: "alice", CAROL.address: "carol"}
VIEW = RoundView(height=7, round=1, step=Step.PREVOTE, is_started=True, is_catching_up=False, last_commit_round=0)
HASH = b"\x05" * 32


class FakeRunner:
    view = VIEW
    validators = SET
    locked = None
    valid = RoundValue(HASH, 0)

    @property
    def engine(self):
        return self

    def proposer(self, round_):
        return SET.validators[round_] if self.view.is_started else None

    def votes(self, round_, type_):
        assert round_ == max(self.view.round, 0)
        if not self.view.is_started:
            return ()
        if type_ is VoteType.PRECOMMIT:
            return (None, None, None)
        return (vote(ALICE, HASH), vote(BOB, None), None)

    def explain(self):
        return f"height 7 waits for {CAROL.address.hex()}"


def vote(validator, block_hash):
    return Vote(VoteType.PREVOTE, 7, 1, block_hash, validator.address, b"\x02" * 64)


def test_the_engines_state_is_told_with_the_validators_names():
    status = consensus_status(FakeRunner(), NAMES)
    assert (status.height, status.round, status.step, status.is_started) == (7, 1, "prevote", True)
    assert status.explanation == f"height 7 waits for {CAROL.address.hex()} (carol)"
    assert (status.locked_round, status.valid_round) == (None, 0)
    assert [v.name for v in status.validators] == ["alice", "", "carol"]
    assert [v.is_proposer for v in status.validators] == [False, True, False]
    assert [v.prevote for v in status.validators] == ["0x" + HASH.hex(), "nil", None]
    assert [v.precommit for v in status.validators] == [None, None, None]
    assert (status.total_power, status.quorum_power) == (9, 7)


def test_before_the_first_round_the_first_proposer_is_shown():
    runner = FakeRunner()
    runner.view = replace(VIEW, round=-1)
    status = consensus_status(runner, NAMES)
    assert status.round == 0
    assert status.validators[0].is_proposer


def test_between_two_heights_nobody_has_voted_and_nothing_is_locked():
    runner = FakeRunner()
    runner.view = replace(VIEW, is_started=False)
    status = consensus_status(runner, NAMES)
    assert (status.is_started, status.valid_round) == (False, None)
    assert {v.prevote for v in status.validators} == {v.precommit for v in status.validators} == {None}
    assert not any(v.is_proposer for v in status.validators)


def test_before_the_first_height_there_is_nothing_to_ask_for():
    runner = FakeRunner()
    runner.view = replace(VIEW, height=0)
    runner.validators = None
    status = consensus_status(runner, NAMES)
    assert (status.explanation, status.validators) == ("the node is starting", ())


def test_a_key_outside_the_set_has_no_power():
    inside = node_identity(id_=None, moniker="m", listen_address=None, public_key=KEYS[1], validators=SET).validator
    outside = node_identity(
        id_=None, moniker="m", listen_address=None, public_key=b"\x09" * 32, validators=SET
    ).validator
    assert (inside.operator, inside.power) == (b"\x0a" * 20, 3)
    assert (outside.operator, outside.power) == (None, 0)
    assert outside.address == consensus_address(b"\x09" * 32)


def test_an_explanation_without_names_stays_as_it_is():
    text = f"waits for {BOB.address.hex()}"
    assert with_names(text, SET, NAMES) == text


def test_a_node_answers_from_whoever_knows_at_the_time():
    peers = [PEER]
    node = LocalNode(
        network_id=18,
        identify=lambda: node_identity(
            id_="ab" * 20, moniker="", listen_address="h:1", public_key=KEYS[0], validators=SET
        ),
        consensus=lambda: consensus_status(FakeRunner(), NAMES),
        peers=lambda: tuple(peers),
        sync_progress=lambda: SyncProgress(1, 2, 3),
    )
    assert (node.peer_count, node.listening, node.syncing) == (1, True, SyncProgress(1, 2, 3))
    assert node.client_version.startswith("cybermiles/v")
    peers.clear()
    assert node.peer_count == 0
    alone = LocalNode(
        network_id=18,
        identify=lambda: node_identity(id_=None, moniker="", listen_address=None, public_key=KEYS[0], validators=SET),
        consensus=node.consensus,
    )
    assert (alone.peer_count, alone.listening, alone.syncing) == (0, False, None)
