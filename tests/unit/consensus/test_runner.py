"""The runner in networks of one to five nodes: pace, peers' garbage, catching up, and what stops it."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.consensus.core.round_state import Step
from cybermiles.consensus.core.timeouts import EngineSettings, Timeouts
from cybermiles.consensus.deliveries import MAX_BATCH
from cybermiles.consensus.messages import PartMessage
from cybermiles.consensus.ports import KEPT_OUTCOMES
from cybermiles.consensus.privval import Step as SignStep
from cybermiles.consensus.records import Entry, Start, encode_entry
from cybermiles.consensus.wal import encode_frame, log_name
from cybermiles.errors import ConfigError, InvalidBlock, InvariantViolation, ProtocolViolation, StorageError
from cybermiles.types.certificate import RoundCertificate
from cybermiles.types.commit import Commit
from cybermiles.types.part_set import Part, split
from cybermiles.types.primitives import Hash32
from cybermiles.types.proposal import SignedProposal, proposal_sign_bytes
from cybermiles.types.rotation import first_rotation
from cybermiles.types.vote import Vote, VoteType, vote_sign_bytes
from tests.fakes.consensus import (
    CHAIN_ID,
    GENESIS,
    START_MS,
    Block,
    Machine,
    RunnerEnded,
    decode_block,
    fake_key,
    fake_sign,
    network,
    reach,
    run_virtual,
    validators,
)
from tests.fakes.disk import Disk

START_S = START_MS // 1000


def vote(number, *, height=1, round_=0, type_=VoteType.PREVOTE, block_hash=None, right=True) -> Vote:
    message = vote_sign_bytes(CHAIN_ID, GENESIS, type_, height, round_, block_hash)
    key = fake_key(number)
    return Vote(type_, height, round_, block_hash, key.address, fake_sign(key.private, message if right else b""))


def proposal(number, block, *, height=1, round_=0, pol_round=-1, parts=None) -> SignedProposal:
    subject = (height, round_, pol_round, block.hash, parts or split(block.encode()).header)
    key = fake_key(number)
    return SignedProposal(*subject, fake_sign(key.private, proposal_sign_bytes(CHAIN_ID, GENESIS, *subject)))


def proposer_of(count, round_=0, height=1) -> int:
    """The number of the machine that proposes."""
    rotation = first_rotation(validators(count))
    steps = round_ + height - 1
    address = (rotation.advanced(steps) if steps else rotation).proposer.address
    return next(number for number in range(count) if fake_key(number).address == address)


def now() -> float:
    return asyncio.get_running_loop().time()


async def wait_until(condition, limit=200.0) -> None:
    while not condition():
        assert now() < limit, "it does not happen"
        await asyncio.sleep(0.01)


async def stop(machines) -> None:
    for machine in machines:
        await machine.stop()


def timestamps(machine) -> list[int]:
    return [decode_block(value).timestamp - START_S for value, _ in machine.application.chain]


# Alone


def test_a_node_alone_makes_blocks_at_its_pace_and_leaves_no_log():
    async def run():
        _, (machine,) = network(1, interval_ms=3_000)
        machine.start()
        await machine.reach(4)
        assert timestamps(machine) == [0, 3, 6, 9]
        assert machine.disk.directory("wal").names() == ()
        assert machine.application.calls == ["prepare", "finalize", "commit"] * 4
        assert machine.application.request.last_commit == machine.application.chain[2][1]
        await machine.stop()

    run_virtual(run())


def test_short_intervals_let_header_times_run_ahead_of_the_clock():
    async def run():
        _, (machine,) = network(1, interval_ms=10)
        machine.engine = type(machine.engine)(clock_precision_ms=86_400_000)
        machine.start()
        await machine.reach(20)
        assert timestamps(machine) == list(range(20))
        assert now() < 0.5
        await machine.stop()

    run_virtual(run())


def test_after_a_long_pause_the_time_is_the_clocks():
    async def run():
        _, (machine,) = network(1, create_empty_blocks=False)
        machine.start()
        await asyncio.sleep(77)
        machine.transactions.add(b"tx")
        await machine.reach(1)
        assert timestamps(machine) == [77]
        await machine.stop()

    run_virtual(run())


def test_without_empty_blocks_a_height_begins_with_a_transaction_at_once():
    async def run():
        _, (machine,) = network(1, create_empty_blocks=False)
        machine.start()
        await asyncio.sleep(100)
        assert machine.application.calls == []
        assert "has not started" in machine.runner.explain()
        machine.transactions.add(b"first")
        began = now()
        await machine.reach(1)
        assert now() - began < 0.05
        await asyncio.sleep(100)
        assert machine.application.height == 1
        machine.transactions.add(b"second")
        await machine.reach(2)
        assert decode_block(machine.application.chain[1][0]).content == b"second"
        await machine.stop()

    run_virtual(run())


def test_a_block_is_built_while_its_height_waits_and_is_there_when_it_starts():
    async def run():
        wires, (machine,) = network(1, interval_ms=2_000)
        published = {}
        machine.watch = lambda what, subject: (
            published.setdefault(subject.height, now()) if isinstance(subject, SignedProposal) else None
        )
        machine.start(wires)
        prepare = machine.application.prepare_proposal

        async def slow(request, candidates):
            await asyncio.sleep(0.3)
            return await prepare(request, candidates)

        machine.application.prepare_proposal = slow
        await reach([machine], 5)
        assert [round(published[height], 2) for height in range(1, 6)] == [0.3, 2.3, 4.3, 6.3, 8.3][:1] + [
            2.0,
            4.0,
            6.0,
            8.0,
        ]
        assert timestamps(machine) == [0, 2, 4, 6, 8]
        assert machine.application.built == 5, "none is built twice"
        await machine.stop()

    run_virtual(run())


def test_a_block_built_ahead_whose_height_starts_early_is_not_proposed_before_its_time():
    async def run():
        wires, machines = network(4, interval_ms=5_000)
        for machine in machines:
            machine.start(wires)
        await reach(machines, 1)
        mine = machines[proposer_of(4, height=2)]
        others = [machine.number for machine in machines if machine is not mine][:2]
        mine.runner._building._lead_ms = 2_500
        await wait_until(lambda: now() > 4.0)
        assert mine.application.calls[-1] == "prepare"
        for number in others:
            mine.runner.receive(vote(number, height=2), "peer")
        await reach(machines, 2)
        assert mine.application.head.timestamp - START_S <= now()
        assert machines[0].application.chain[1][1].round == 0
        await stop(machines)

    run_virtual(run())


def test_evidence_wakes_a_node_that_makes_no_empty_blocks():
    async def run():
        _, (machine,) = network(1, create_empty_blocks=False)
        machine.start()
        await asyncio.sleep(50)
        pending = []
        machine.runner._ports.evidence.pending = lambda _: tuple(pending)
        pending.append(b"proof")
        machine.runner.wake()
        await machine.reach(1)
        assert machine.application.request.evidence == (b"proof",)
        await machine.stop()

    run_virtual(run())


def test_losing_the_log_after_signing_cannot_lead_to_a_second_signature():
    async def run():
        wires, (machine,) = network(1)
        machine.start(wires)
        machine.disk.crash_at = 30
        with pytest.raises(RunnerEnded):
            await machine.reach(9)
        await machine.stop()
        machine.disk.lose_power()
        height = machine.signer.last_signed[0]
        machine.disk.directory("wal").files.pop(log_name(height))
        machine.start(wires)
        with pytest.raises(RunnerEnded) as ended:
            await machine.reach(9)
        assert isinstance(ended.value.args[0], InvariantViolation)
        assert "does not lead there" in str(ended.value.args[0]), "noticed before anything is asked of the signer"
        await machine.stop()

    run_virtual(run())


def test_a_logged_block_that_is_no_longer_valid_stops_the_node():
    async def run():
        wires, (machine,) = network(1)
        machine.start(wires)
        machine.disk.crash_at = 26
        with pytest.raises(RunnerEnded):
            await machine.reach(9)
        await machine.stop()
        machine.disk.crash()
        machine.open()
        machine.application.refuse = lambda block: "changed rules"
        with pytest.raises(InvariantViolation, match="changed rules. Start the version that accepted it"):
            await machine.runner.run()

    run_virtual(run())


def test_a_state_older_than_the_key_stops_the_node_before_it_signs():
    async def run():
        _, (machine,) = network(1)
        machine.start()
        await machine.reach(2)
        old = machine.disk.directory("keys").read("state.json")
        await machine.reach(4)
        await machine.stop()
        machine.disk.crash()
        machine.disk.directory("wal").files.clear()
        machine.disk.directory("keys").files["state.json"].content[:] = old
        signed = machine.signer.last_signed
        machine.start()
        with pytest.raises(RunnerEnded) as ended:
            await machine.reach(5)
        assert isinstance(ended.value.args[0], ConfigError)
        assert "Restore the newest state" in str(ended.value.args[0])
        assert machine.signer.last_signed < signed
        await machine.stop()

    run_virtual(run())


@pytest.mark.parametrize("directory", ["wal", "keys"])
def test_a_full_disk_stops_the_node(directory):
    async def run():
        _, (machine,) = network(1)
        machine.start()
        await machine.reach(2)

        def fail(operation):
            if operation.kind in ("append", "replace") and operation.name.startswith(directory):
                raise OSError(28, "No space left on device")

        machine.disk.before = fail
        with pytest.raises(RunnerEnded) as ended:
            await machine.reach(3)
        assert isinstance(ended.value.args[0], StorageError)
        await machine.stop()

    run_virtual(run())


def test_an_exception_of_the_application_stops_the_node_and_leaves_no_task():
    async def run():
        _, (machine,) = network(1)
        machine.start()
        await machine.reach(1)

        async def fail(request, candidates):
            raise KeyError("a bug")

        machine.application.prepare_proposal = fail
        with pytest.raises(RunnerEnded) as ended:
            await machine.reach(2)
        assert isinstance(ended.value.args[0], KeyError)
        await machine.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(run())


def test_stopping_leaves_no_task_and_lets_nobody_wait():
    async def run():
        _, machines = network(4)
        for machine in machines[:1]:
            machine.start()
        machine = machines[0]
        await asyncio.sleep(0.5)
        other = Commit(1, 0, Hash32(bytes(32)), (None,) * 4)
        with pytest.raises(ProtocolViolation):
            await machine.runner.apply_synced(b"", other)
        machine.application.delay = 10.0
        waiting = asyncio.ensure_future(machine.runner.apply_synced(*valid_block(machines)))
        await asyncio.sleep(0.1)
        await machine.stop()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(asyncio.CancelledError):
            await machine.runner.apply_synced(*valid_block(machines))
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(run())


# Among others


def valid_block(machines, height=1, parent=None, *, signers=(0, 1, 2), round_=0):
    """A block of height 1 and its commit, as others would have decided it."""
    parent_hash = Block(0, bytes(32), START_S - 10, b"", b"").hash if parent is None else parent.hash
    block = Block(height, parent_hash, START_S + height, b"somebody", b"content")
    by_address = {
        fake_key(number).address: vote(
            number, height=height, round_=round_, type_=VoteType.PRECOMMIT, block_hash=block.hash
        ).signature
        for number in signers
    }
    members = machines[0].members.validators
    return block.encode(), Commit(height, round_, block.hash, tuple(by_address.get(m.address) for m in members))


def test_four_nodes_decide_the_same_in_round_0_and_all_sign():
    async def run():
        wires, machines = network(4)
        for machine in machines:
            machine.start(wires)
        await reach(machines, 20)
        assert len({tuple(value for value, _ in machine.application.chain[:20]) for machine in machines}) == 1
        assert {commit.round for _, commit in machines[0].application.chain} == {0}
        proposers = [decode_block(value).proposer for value, _ in machines[0].application.chain[:20]]
        assert {proposers.count(machine.key.address) for machine in machines} == {5}
        assert machines[0].verifier.verified_total < 20 * 11, "each signature is computed once"
        await stop(machines)

    run_virtual(run())


def test_late_precommits_complete_the_commit_in_the_next_block():
    async def run():
        wires, machines = network(4)
        slow = machines[3]
        wires.allows = lambda sender, receiver, message: (
            sender is not slow or not isinstance(message, Vote) or message.type is VoteType.PREVOTE
        )
        held = []
        for machine in machines:
            machine.start(wires)
        await reach(machines[:3], 1)
        assert all(len([s for s in m.application.chain[0][1].signatures if s]) == 3 for m in machines[:3])
        held = [m for name, m in wires.published if name == slow.name and isinstance(m, Vote) and m.type == 2]
        for machine in machines[:3]:
            machine.runner.receive(held[0], slow.name)
        await asyncio.sleep(0.05)
        assert all(None not in machine.runner.last_commit.signatures for machine in machines[:3])
        await reach(machines[:3], 2)
        second = next(m for m in machines if decode_block(m.application.chain[1][0]).proposer == m.key.address)
        assert second is slow or None not in second.application.request.last_commit.signatures
        await stop(machines)

    run_virtual(run())


def test_a_node_without_key_follows_and_says_and_writes_nothing():
    async def run():
        wires, machines = network(4)
        observer = Machine(4, machines[0].members, has_key=False)
        for machine in (*machines, observer):
            machine.start(wires)
        await reach([*machines, observer], 5)
        assert observer.application.app_hash == machines[0].application.app_hash
        assert {name for name, _ in wires.published} == {machine.name for machine in machines}
        assert not [operation for operation in observer.disk.operations if operation.name.startswith("wal")]
        await stop([*machines, observer])

    run_virtual(run())


def test_a_key_that_is_no_validators_follows_and_signs_nothing():
    async def run():
        wires, machines = network(4)
        stranger = Machine(4, machines[0].members)
        for machine in (*machines, stranger):
            machine.start(wires)
        await reach([*machines, stranger], 3)
        assert stranger.signer.last_signed == (0, 0, 0)
        await stop([*machines, stranger])

    run_virtual(run())


def test_an_invalid_block_is_refused_at_once_and_the_next_proposer_goes_on():
    async def run():
        wires, machines = network(4)
        liar = machines[proposer_of(4)]
        for machine in machines:
            machine.start(wires)
            machine.application.refuse = lambda block: "bad" if block.proposer == liar.key.address else ""
        began = now()
        await reach(machines, 1)
        assert now() - began < 2.0, "no propose timeout was waited for"
        assert machines[0].application.chain[0][1].round == 1
        await stop(machines)

    run_virtual(run())


def test_timers_elapse_and_votes_count_while_the_application_is_busy():
    async def run():
        wires, machines = network(4)
        busy = next(machine for machine in machines if machine.number != proposer_of(4))
        for machine in machines:
            machine.start(wires)
        busy.application.delay = 30.0
        await wait_until(lambda: busy.runner.view.step is Step.PRECOMMIT or busy.runner.view.round > 0)
        assert now() < 10
        assert sum(v is not None for v in busy.runner.votes(0, VoteType.PREVOTE)) >= 3
        await stop(machines)

    run_virtual(run())


def test_a_decision_waits_for_the_call_of_the_application_that_is_running():
    """A block of the next round is being executed when the last precommit for the first one comes."""

    async def run():
        wires, machines = network(4)
        number = next(n for n in range(4) if n not in (proposer_of(4), proposer_of(4, 1)))
        machine = machines[number]
        machine.start(wires)
        await wait_until(lambda: machine.runner.view.is_started)
        parent = machine.application.head.hash
        blocks = [Block(1, parent, START_S, b"", content) for content in (b"first", b"second")]
        for round_, block in enumerate(blocks):
            machine.application.delay = 5.0 * round_
            machine.runner.receive(proposal(proposer_of(4, round_), block, round_=round_), "peer")
            parts = split(block.encode())
            machine.runner.receive(PartMessage(1, parts.header.id, parts.part(0)), "peer")
            await asyncio.sleep(0.1)
        assert machine.application.busy
        for other in (n for n in range(4) if n != number):
            machine.runner.receive(vote(other, type_=VoteType.PRECOMMIT, block_hash=blocks[0].hash), "peer")
        await reach([machine], 1)
        assert machine.application.head == blocks[0]
        await machine.stop()

    run_virtual(run())


class Newest(dict):
    """What an application keeps of a height: the last so many blocks that it executed."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        if len(self) > KEPT_OUTCOMES:
            del self[next(iter(self))]


def test_a_block_that_is_decided_after_many_own_builds_came_too_late_is_executed_again():
    async def run():
        steady = EngineSettings(timeouts=Timeouts(propose_delta_ms=0, prevote_delta_ms=0, precommit_delta_ms=0))
        wires, machines = network(4, engine=steady)
        number = next(n for n in range(4) if n != proposer_of(4))
        machine, others = machines[number], [n for n in range(4) if n != number]
        machine.start(wires)
        application = machine.application
        application.executed = Newest()
        await wait_until(lambda: machine.runner.view.is_started)
        block = Block(1, application.head.hash, START_S, b"", b"decided in the end")
        parts = split(block.encode())
        machine.runner.receive(proposal(proposer_of(4), block), "peer")
        machine.runner.receive(PartMessage(1, parts.header.id, parts.part(0)), "peer")
        await wait_until(lambda: block.hash in application.executed)
        application.delay = 5.0
        while block.hash in application.executed:
            round_ = machine.runner.view.round
            for type_ in VoteType:
                machine.runner.receive(vote(others[0], round_=round_, type_=type_), "peer")
                chosen = block.hash if (type_, round_) == (VoteType.PRECOMMIT, 0) else None
                machine.runner.receive(vote(others[1], round_=round_, type_=type_, block_hash=chosen), "peer")
            await wait_until(lambda round_=round_: machine.runner.view.round > round_)
        for other in (others[0], others[2]):  # the first is the one liar of four
            machine.runner.receive(vote(other, type_=VoteType.PRECOMMIT, block_hash=block.hash), "peer")
        await reach([machine], 1)
        assert application.head == block
        await machine.stop()

    run_virtual(run())


def test_garbage_is_blamed_on_its_sender_and_changes_nothing():
    async def run():
        wires, (machine, *_) = network(4)
        plug = wires.plug(machine)
        machine.start(wires)
        await wait_until(lambda: machine.runner.view.is_started)
        plug = wires.plugs[machine.name]
        proposer = proposer_of(4)
        block = Block(1, bytes(32), START_S, b"", b"x" * 200_000)
        parts = split(block.encode())
        runner = machine.runner
        cases = [
            (vote(1, right=False), "a wrong signature"),
            (proposal((proposer + 1) % 4, block), "a wrong signature"),
            (RoundCertificate(1, 1, (vote(1), vote(2, right=False))), "a wrong signature"),
            (RoundCertificate(1, 1, (vote(1), vote(9))), "no validator"),
        ]
        for number, (message, reason) in enumerate(cases):
            runner.receive(message, f"peer{number}")
            await asyncio.sleep(0.01)
            assert [source for source, why in plug.rejections if reason in why][-1] == f"peer{number}", message
        assert not any(runner.votes(0, VoteType.PREVOTE)) or machine.number == proposer
        if proposer != machine.number:
            runner.receive(proposal(proposer, block), "proposer")
            wrong = Part(1, parts.part(1).payload, parts.part(0).proof)
            runner.receive(PartMessage(1, parts.header.id, wrong), "peer9")
            await asyncio.sleep(0.01)
            assert plug.rejections[-1][0] == "peer9"
        before = len(plug.rejections)
        for stale in (
            vote(9),
            vote(1, height=7),
            PartMessage(1, Hash32(b"?" * 32), parts.part(0)),
            vote(1, round_=10**6),
        ):
            runner.receive(stale, "peer")
        await asyncio.sleep(0.01)
        assert len(plug.rejections) == before, "what is merely not wanted is nobody's fault"
        assert not machine.task.done()
        await machine.stop()

    run_virtual(run())


def test_a_flood_of_one_peer_is_bounded_and_does_not_keep_others_out():
    async def run():
        wires, machines = network(4)
        machine = machines[0]
        machine.start(wires)
        await wait_until(lambda: machine.runner.view.is_started)
        for number in range(100_000):
            machine.runner.receive(
                vote(1, round_=number % 5, block_hash=Hash32(number.to_bytes(32)), right=False), "liar"
            )
        machine.runner.receive(vote(2), "honest")
        inbox = machine.runner._inbox
        assert inbox.dropped_total > 90_000
        honest = fake_key(2).address
        await wait_until(lambda: honest in {v.validator for v in machine.runner.votes(0, VoteType.PREVOTE) if v})
        assert inbox.is_empty
        assert inbox._held == {}
        rejected = [source for source, _ in wires.plugs[machine.name].rejections]
        assert 0 < rejected.count("liar") <= MAX_BATCH, "what else it left waiting is not verified"
        await machine.stop()

    run_virtual(run())


# The start of a height


def test_a_liar_is_rejected_before_the_height_starts_and_its_flood_is_not_verified():
    async def run():
        wires, machines = network(4, interval_ms=10_000)
        for machine in machines:
            machine.start(wires)
        await reach(machines, 1)
        quiet = machines[0]
        for round_ in range(2_000):
            quiet.runner.receive(vote(1, height=2, round_=round_, right=False), "liar")
        await asyncio.sleep(0.1)
        assert not quiet.runner.view.is_started
        assert wires.plugs[quiet.name].rejections == [("liar", "a wrong signature")]
        assert quiet.runner._inbox._held == {}
        await stop(machines)

    run_virtual(run())


def test_one_liar_does_not_hurry_a_height_but_a_third_of_the_power_does():
    async def run():
        wires, machines = network(4, interval_ms=10_000)
        for machine in machines:
            machine.start(wires)
        await reach(machines, 1)
        quiet = machines[0]
        quiet.runner.receive(vote(1, height=2), "peer")
        quiet.runner.receive(vote(1, height=2, type_=VoteType.PRECOMMIT), "peer")
        await asyncio.sleep(1)
        assert not quiet.runner.view.is_started
        quiet.runner.receive(vote(2, height=2), "peer")
        await asyncio.sleep(0.1)
        assert quiet.runner.view.is_started
        assert sum(v is not None for v in quiet.runner.votes(0, VoteType.PREVOTE)) >= 2, "what was early counts"
        await stop(machines)

    run_virtual(run())


def test_a_node_whose_clock_lags_joins_when_the_proposal_comes_and_waits_with_its_own():
    async def run():
        wires, machines = network(4)
        late = machines[0]
        late.clock.offset_ms = -400
        for machine in machines:
            machine.start(wires)
        await reach(machines, 12)
        assert {commit.round for _, commit in late.application.chain} == {0}
        for machine in machines:
            times = timestamps(machine)
            assert times == sorted(set(times))
        await stop(machines)

    run_virtual(run())


def test_a_clock_two_seconds_ahead_gets_nil_and_the_chain_goes_on():
    async def run():
        wires, machines = network(4)
        fast = machines[0]
        fast.clock.offset_ms = 2_000
        for machine in machines:
            machine.start(wires)
        await reach(machines, 8)
        proposers = {decode_block(value).proposer for value, _ in machines[1].application.chain[:8]}
        assert fast.key.address not in proposers
        await stop(machines)

    run_virtual(run())


# Catching up


def test_blocks_of_others_decide_through_the_core_one_after_another():
    async def run():
        wires, machines = network(4)
        for machine in machines[:3]:
            machine.start(wires)
        await reach(machines[:3], 10)
        newcomer = machines[3]
        newcomer.start()
        newcomer.runner.set_catching_up(catching_up=True)
        began = now()
        for value, commit in machines[0].application.chain[:10]:
            await newcomer.runner.apply_synced(value, commit)
        assert newcomer.application.height == 10
        assert now() - began < 0.01, "nothing is waited for while catching up"
        assert newcomer.signer.last_signed == (0, 0, 0)
        assert newcomer.disk.directory("wal").names() == ()
        await newcomer.runner.apply_synced(*machines[0].application.chain[3])
        await stop(machines[:3])
        await newcomer.stop()

    run_virtual(run())


def test_a_decided_block_that_is_invalid_here_stops_the_node_and_blames_nobody():
    async def run():
        wires, machines = network(4)
        machine = machines[0]
        machine.start()
        await wait_until(lambda: machine.runner.view.is_started)
        machine.application.refuse = lambda block: "state root"
        waiting = asyncio.ensure_future(machine.runner.apply_synced(*valid_block(machines)))
        with pytest.raises(RunnerEnded) as ended:
            await machine.reach(1)
        assert "two thirds of the power decided" in str(ended.value.args[0])
        assert "state root" in str(ended.value.args[0])
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await machine.stop()

    run_virtual(run())


def test_wrong_blocks_and_commits_cost_their_supplier_and_the_right_one_still_works():
    async def run():
        wires, machines = network(4)
        machine = machines[0]
        machine.start()
        await wait_until(lambda: machine.runner.view.is_started)
        value, commit = valid_block(machines)
        block = decode_block(value)
        other = Block(1, block.parent, block.timestamp, b"", b"another")
        forged = list(commit.signatures)
        index = next(i for i, s in enumerate(forged) if s)
        forged[index] = bytes(64)
        cases = [
            (value, Commit(1, 0, commit.block_hash, tuple(forged)), ProtocolViolation, "wrong precommit signature"),
            (value, Commit(1, 0, commit.block_hash, commit.signatures[:3]), ProtocolViolation, "3 signatures for 4"),
            (*valid_block(machines, signers=(0, 1)), ProtocolViolation, "only 20 of 40"),
            (other.encode(), commit, InvalidBlock, "another block's"),
            (b"rubbish", commit, InvalidBlock, "block 1"),
            (b"", commit, InvalidBlock, "block 1"),
        ]
        for wrong_value, wrong_commit, error, message in cases:
            with pytest.raises(error, match=message):
                await machine.runner.apply_synced(wrong_value, wrong_commit)
        with pytest.raises(ValueError, match="while height 1 is undecided"):
            await machine.runner.apply_synced(*valid_block(machines, height=2, parent=block))
        assert machine.application.height == 0
        await machine.runner.apply_synced(value, commit)
        assert machine.application.chain == [(value, machine.runner.last_commit)]
        await machine.stop()

    run_virtual(run())


def test_a_node_that_caught_up_in_the_middle_of_a_height_votes_in_it():
    """Two of four would be stuck with a third that only follows."""

    async def run():
        wires, machines = network(4)
        follower = machines[0]
        for machine in machines[:3]:
            machine.start(wires)
        follower.runner.set_catching_up(catching_up=True)
        await asyncio.sleep(30)
        assert [machine.application.height for machine in machines[:3]] == [0, 0, 0]
        assert follower.signer.last_signed == (0, 0, 0)
        assert follower.runner.view.step is Step.PREVOTE
        follower.runner.set_catching_up(catching_up=False)
        await reach(machines[:3], 3)
        assert follower.signer.last_signed[0] >= 1
        assert len({machine.application.app_hash for machine in machines[:3]}) == 1
        await stop(machines[:3])

    run_virtual(run())


@pytest.mark.parametrize("left", [None, Entry(Start(3, is_voting=True)), Entry(Start(3, is_voting=False))])
def test_a_validator_that_lost_its_log_is_silent_for_the_height_and_votes_in_the_next(left):
    """Even when the others cannot decide without it: nobody knows which block it is locked on."""

    async def run():
        wires, machines = network(4)
        victim, absent = machines[1], machines[3]
        for machine in machines:
            machine.start(wires)
        await reach(machines, 2)
        await absent.stop()
        await wait_until(lambda: victim.signer.last_signed >= (3, 0, SignStep.PREVOTE))
        await victim.stop()
        victim.disk.crash()
        victim.disk.directory("wal").files.clear()
        if left is not None:
            victim.disk.directory("wal").append(log_name(3), encode_frame([encode_entry(left)]))
        said = [m for name, m in wires.published if name == victim.name]
        victim.start(wires)
        await asyncio.sleep(60)
        assert not victim.task.done()
        assert [machines[0].application.height, victim.application.height] == [2, 2]
        own = [m for name, m in wires.published if name == victim.name and not isinstance(m, RoundCertificate)]
        assert own == said
        absent.disk.crash()
        absent.start(wires)
        await reach(machines, 6)
        assert victim.signer.last_signed[0] >= 5
        await stop(machines)

    run_virtual(run())


# Stopping and starting


def test_the_view_names_every_move_once():
    async def run():
        wires, (machine,) = network(1)
        views = []
        machine.watch = lambda what, subject: views.append(subject) if what == "view" else None
        machine.start(wires)
        await machine.reach(2)
        await machine.stop()
        first = [(view.height, view.step.name, view.is_started) for view in views if view.height == 1]
        assert first == [
            (1, "UNSTARTED", False),
            (1, "PROPOSE", True),
            (1, "PREVOTE", True),
            (1, "PRECOMMIT", True),
            (1, "COMMIT", True),
        ]
        assert all(one != other for one, other in zip(views, views[1:], strict=False))
        assert views[-1].last_commit_round == 0

    run_virtual(run())


def test_reading_before_anything_ran_is_harmless():
    runner = Machine(0, validators(1), disk=Disk()).open()
    assert runner.view.height == 0
    assert runner.proposal(0) is None
    assert runner.votes(0, VoteType.PREVOTE) == ()
    assert runner.rounds() == ()
    assert runner.part_set(Hash32(bytes(32))) is None
    assert runner.proposer(0) is None
    runner.receive(vote(0, height=5), "peer")
    with pytest.raises(InvariantViolation):
        runner.validators  # noqa: B018
