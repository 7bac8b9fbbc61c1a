"""The same log leads to the same place, wherever it is cut."""

from __future__ import annotations

import random

import pytest

from cybermiles.consensus import height as height_module
from cybermiles.consensus.core.effects import Build, Decide, ScheduleTimeout, SignProposal, SignVote
from cybermiles.consensus.core.engine import Engine
from cybermiles.consensus.core.inputs import (
    ProposalReceived,
    StartHeight,
    TimeoutElapsed,
    TimeoutKind,
    ValueBuilt,
    ValueChecked,
    VoteReceived,
)
from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.consensus.privval import Step
from cybermiles.consensus.records import Entry, RecordType, Start, decode_entry, encode_entry, entry_of
from cybermiles.consensus.replay import read_entries, replay
from cybermiles.consensus.wal import encode_frame, log_name
from cybermiles.errors import InvariantViolation, StorageError
from cybermiles.types.part_set import PartsHeader
from cybermiles.types.primitives import Hash32
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.rotation import first_rotation
from cybermiles.types.vote import Vote, VoteType
from tests.fakes.consensus import fake_key, network, reach, run_virtual, validators
from tests.fakes.disk import Disk

ALONE = first_rotation(validators(1))
OWN = fake_key(0).address
HASH = Hash32(b"h" * 32)
PARTS = PartsHeader(1, HASH)
BUILT = ValueBuilt(height=1, round=0, block_hash=HASH, parts=PARTS, timestamp=100)
PROPOSAL = SignedProposal(1, 0, -1, HASH, PARTS, bytes(64))
RECEIVED_MS = 100_000
PREVOTE = Vote(VoteType.PREVOTE, 1, 0, HASH, OWN, bytes(64))
PRECOMMIT = Vote(VoteType.PRECOMMIT, 1, 0, HASH, OWN, bytes(64))
LOG = (
    Entry(Start(1, is_voting=True)),
    Entry(BUILT, b"value"),
    Entry(ProposalReceived(PROPOSAL, RECEIVED_MS)),
    Entry(VoteReceived(PREVOTE)),
    Entry(VoteReceived(PRECOMMIT)),
)


def replayed(*entries, rotation=ALONE):
    return replay(Engine(OWN, EngineSettings()), rotation, entries, OWN)


@pytest.mark.parametrize(
    ("length", "open_", "own", "position"),
    [
        (1, [Build(1, 0)], (), (-1, Step.NONE)),
        (2, [SignProposal(1, 0, -1, HASH, PARTS)], (), (0, Step.PROPOSE)),
        (3, [SignVote(VoteType.PREVOTE, 1, 0, HASH)], (PROPOSAL,), (0, Step.PREVOTE)),
        (4, [SignVote(VoteType.PRECOMMIT, 1, 0, HASH)], (PROPOSAL, PREVOTE), (0, Step.PRECOMMIT)),
        (5, [Decide], (PROPOSAL, PREVOTE, PRECOMMIT), (0, Step.PRECOMMIT)),
    ],
)
def test_what_a_crash_after_each_entry_leaves_to_do(length, open_, own, position):
    result = replayed(*LOG[:length])
    assert [
        type(found) if isinstance(expected, type) else found for found, expected in zip(result.open, open_, strict=True)
    ] == open_
    assert result.own == own
    assert result.last_position == position


def test_what_is_open_is_performed_in_the_order_it_was_asked_for():
    """A block that is checked last, when all others voted already: prevote and precommit are asked for at once."""
    members = validators(4)
    rotation = first_rotation(members)
    others = [member.address for member in members.validators if member.address != OWN]
    votes = [Vote(VoteType.PREVOTE, 1, 0, HASH, address, bytes(64)) for address in others]
    checked = ValueChecked(height=1, block_hash=HASH, parts=PARTS, accepted=True, timestamp=100)
    entries = [Entry(Start(1, is_voting=True)), Entry(ProposalReceived(PROPOSAL, RECEIVED_MS))]
    entries += [Entry(VoteReceived(vote)) for vote in votes] + [Entry(checked, b"value")]
    result = replayed(*entries, rotation=rotation)
    asked = [effect for effect in result.open if isinstance(effect, SignVote)]
    assert asked == [SignVote(type_, 1, 0, HASH) for type_ in (VoteType.PREVOTE, VoteType.PRECOMMIT)]
    assert result.last_position == (0, Step.PRECOMMIT)


def test_timers_that_did_not_elapse_are_started_again():
    rotation = first_rotation(validators(4))
    start = Entry(Start(1, is_voting=True))
    timers = {(timer.kind, timer.round) for timer in replayed(start, rotation=rotation).timers}
    assert (TimeoutKind.PROPOSE, 0) in timers
    assert (TimeoutKind.REBROADCAST, 0) in timers
    elapsed = Entry(TimeoutElapsed(TimeoutKind.PROPOSE, 1, 0))
    again = Entry(TimeoutElapsed(TimeoutKind.REBROADCAST, 1, 0))
    after = {(timer.kind, timer.round) for timer in replayed(start, elapsed, again, rotation=rotation).timers}
    assert after == {(TimeoutKind.REBROADCAST, 0)}, "the one that elapsed was set again by the engine"


def test_a_log_that_does_not_begin_with_a_start_is_refused():
    for entries in ((), LOG[1:]):
        with pytest.raises(InvariantViolation, match="does not begin"):
            replayed(*entries)


def test_what_no_version_wrote_stops_the_node_with_what_to_do():
    directory = Disk().directory("wal")
    good = encode_entry(LOG[0])
    directory.append(log_name(1), encode_frame([good, type(good)(RecordType.VOTE, b"\x00")]))
    with pytest.raises(StorageError, match="start the version"):
        read_entries(directory, 1)
    assert read_entries(directory, 2) == []


class Recorder(Engine):
    """Keeps what it took in and gave out, and compares itself with a replay of the log after every input."""

    made: list[Recorder] = []

    def __init__(self, address, settings):
        super().__init__(address, settings)
        self.address, self.settings = address, settings
        self.log, self.effects = [], []
        Recorder.made.append(self)

    def handle(self, input_):
        if isinstance(input_, StartHeight):
            self.rotation = input_.rotation
        if self.is_decided:
            return super().handle(input_)
        self.log.append(input_)
        new = super().handle(input_)
        self.effects.extend(new)
        self.compare()
        return new

    def compare(self):
        fresh = Engine(self.address, self.settings)
        records = [encode_entry(entry_of(input_)) for input_ in self.log]
        entries = [decode_entry(record, self.log[0].height) for record in records]
        result = replay(fresh, self.rotation, entries, self.address)
        assert result.effects == tuple(self.effects)
        assert state_of(fresh) == state_of(self)


def state_of(engine):
    votes = {
        (round_, type_): (engine.votes(round_, type_), engine.conflicting_votes(round_, type_))
        for round_ in engine.rounds()
        for type_ in VoteType
    }
    proposals = {round_: engine.proposals(round_) for round_ in range(engine.round + 2)}
    place = (engine.height, engine.round, engine.step, engine.locked, engine.valid, engine.is_voting)
    return place, votes, proposals, engine.commit(), engine.round_certificate()


@pytest.mark.parametrize("seed", range(4))
def test_after_every_input_of_a_lossy_network_a_replay_of_the_log_is_where_the_engine_is(monkeypatch, seed):
    """Proposers that are not heard, rounds that fail, certificates, re-proposals: every log, cut everywhere."""
    monkeypatch.setattr(height_module, "Engine", Recorder)
    Recorder.made = []
    choices = random.Random(seed)

    async def run():
        wires, machines = network(4)
        wires.allows = lambda sender, receiver, message: choices.random() > 0.25
        for machine in machines:
            machine.start(wires)
        await reach(machines, 5)
        for machine in machines:
            await machine.stop()

    run_virtual(run())
    assert len(Recorder.made) >= 20
    assert any(engine.round > 0 for engine in Recorder.made), "a round must have failed"
    assert any(isinstance(effect, ScheduleTimeout) for engine in Recorder.made for effect in engine.effects)
