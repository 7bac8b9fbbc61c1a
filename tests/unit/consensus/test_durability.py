"""What must be on the disk before what, and what a crash at any operation leads to.

The ordering contract is checked where it matters: at the moment something becomes visible, the disk as a loss of power
would leave it must lead back to the same place.

    D1  own message published      the signer's file has it; the log leads to it
    D2  own proposal published     the log has the block
    D3  finalize                   the log leads to the decision
    D4  commit                     is one atomic write of the application (D5 the same)
    D6  the next height is shown   the block is durable
    D7  the log is removed         the block is durable
"""

from __future__ import annotations

import asyncio
import json

import pytest

from cybermiles.consensus.core.effects import Decide, SignProposal, SignVote
from cybermiles.consensus.core.engine import Engine
from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.consensus.privval import STEP_OF, Step
from cybermiles.consensus.records import decode_entry
from cybermiles.consensus.replay import replay
from cybermiles.consensus.wal import decode_frames, log_name
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.rotation import first_rotation
from cybermiles.types.vote import Vote
from tests.fakes.consensus import (
    BLOCK,
    CHAIN_ID,
    GENESIS,
    Machine,
    RunnerEnded,
    decode_block,
    network,
    reach,
    run_virtual,
    validators,
)
from tests.fakes.disk import Crash


def durable(machine: Machine, directory: str, name: str) -> bytes:
    file = machine.disk.directory(directory).durable_names.get(name)
    return b"" if file is None else file.durable


def durable_height(machine: Machine) -> int:
    return sum(name.startswith(BLOCK) for name in machine.disk.directory("app").durable_names)


class ContractChecker:
    """Watches one machine and checks each row of the contract; counts what it checked."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.rotations = [first_rotation(machine.members)]
        self.checked: dict[str, int] = {}
        machine.watch = self.shown
        machine.disk.before = self.done

    def shown(self, what: str, subject) -> None:
        if what == "view":
            assert durable_height(self.machine) >= subject.height - 1, "D6"
            self.count("D6")
            return
        own = isinstance(subject, SignedProposal) and self.is_proposer(subject)
        if own or (isinstance(subject, Vote) and subject.validator == self.machine.key.address):
            self.check_own(subject)

    def done(self, operation) -> None:
        if operation.kind == "finalize":
            self.check_finalize(int(operation.name), operation.content)
        if operation.kind == "remove" and operation.name.startswith("wal/"):
            assert durable_height(self.machine) >= int(operation.name.rpartition("-")[2]), "D7"
            self.count("D7")

    def check_own(self, message) -> None:
        state = json.loads(durable(self.machine, "keys", "state.json"))
        step = Step.PROPOSE if isinstance(message, SignedProposal) else STEP_OF[message.type]
        place = (state["height"], state["round"], state["step"])
        assert place >= (message.height, message.round, step), "D1: the signer's state is older than the message"
        if place == (message.height, message.round, step):
            assert state["sign_bytes"] == message.sign_bytes(CHAIN_ID, GENESIS).hex(), "D1"
            assert state["signature"] == message.signature.hex(), "D1"
        replayed, values = self.replay(message.height)
        assert any(self.leads_to(found, message) for found in (*replayed.own, *replayed.open)), "D1: the log"
        self.count("D1")
        if isinstance(message, SignedProposal):
            assert message.block_hash in values, "D2"
            self.count("D2")

    def check_finalize(self, height: int, block_hash: bytes) -> None:
        replayed, values = self.replay(height)
        assert [found.commit.block_hash for found in replayed.open if isinstance(found, Decide)] == [block_hash], "D3"
        assert block_hash in values, "D3"
        self.count("D3")

    def replay(self, height: int):
        records, _ = decode_frames(durable(self.machine, "wal", log_name(height)), "log")
        entries = [decode_entry(record, height) for record in records]
        assert entries, "nothing of the log is durable"
        engine = Engine(self.machine.key.address, self.machine.engine)
        values = {decode_block(entry.value).hash for entry in entries if entry.value}
        return replay(engine, self.rotation(height), entries, self.machine.key.address), values

    def rotation(self, height: int):
        while len(self.rotations) < height:
            self.rotations.append(self.rotations[-1].advanced())
        return self.rotations[height - 1]

    def is_proposer(self, proposal: SignedProposal) -> bool:
        rotation = self.rotation(proposal.height)
        proposer = (rotation.advanced(proposal.round) if proposal.round else rotation).proposer
        return proposer.address == self.machine.key.address

    @staticmethod
    def leads_to(found, message) -> bool:
        match found:
            case Vote() | SignedProposal():
                return found == message
            case SignVote():
                return isinstance(message, Vote) and (found.type, found.round, found.block_hash) == (
                    message.type,
                    message.round,
                    message.block_hash,
                )
            case SignProposal():
                return isinstance(message, SignedProposal) and (found.round, found.block_hash, found.parts) == (
                    message.round,
                    message.block_hash,
                    message.parts,
                )
        return False

    def count(self, row: str) -> None:
        self.checked[row] = self.checked.get(row, 0) + 1


def test_the_ordering_contract_holds_over_a_thousand_heights_of_a_node_alone():
    async def run():
        wires, (machine,) = network(1, interval_ms=1, engine=EngineSettings(clock_precision_ms=86_400_000))
        checker = ContractChecker(machine)
        machine.start(wires)
        await machine.reach(1_000)
        await machine.stop()
        return checker.checked

    checked = run_virtual(run())
    assert min(checked.values()) >= 1_000
    assert checked["D1"] >= 3_000
    assert set(checked) == {"D1", "D2", "D3", "D6", "D7"}


def test_the_ordering_contract_holds_among_four_nodes_that_lose_messages():
    async def run():
        wires, machines = network(4)
        checkers = [ContractChecker(machine) for machine in machines]
        count = 0

        def loses(sender, receiver, message):
            nonlocal count
            count += 1
            return count % 7 != 0

        wires.allows = loses
        for machine in machines:
            machine.start(wires)
        await reach(machines, 40)
        rounds = max(message.round for _, message in wires.published if isinstance(message, Vote))
        for machine in machines:
            await machine.stop()
        return checkers, rounds

    checkers, rounds = run_virtual(run())
    assert rounds > 0, "lost messages must have failed a round"
    for checker in checkers:
        assert {"D1", "D3", "D6", "D7"} <= set(checker.checked)
        assert checker.checked["D1"] > 40


CRASHES = {
    "kill -9": lambda disk: disk.crash(),
    "power loss": lambda disk: disk.lose_power(),
    "power loss, torn": lambda disk: disk.lose_power(torn_bytes=11),
}


def no_equivocation(published) -> None:
    """No validator said two different things in one place, in all its lives."""
    said: dict[tuple, object] = {}
    for name, message in published:
        if isinstance(message, Vote):
            place = (message.validator, message.height, message.round, message.type)
            assert said.setdefault(place, message.block_hash) == message.block_hash, message
        elif isinstance(message, SignedProposal):
            place = (name, message.height, message.round)
            assert said.setdefault(place, message.block_hash) == message.block_hash, message


@pytest.mark.parametrize("half_done", [False, True])
@pytest.mark.parametrize("crash", CRASHES)
def test_a_node_alone_goes_on_after_a_crash_at_every_operation_of_two_heights(crash, half_done):
    async def run(at: int) -> bool:
        wires, (machine,) = network(1)
        machine.start(wires)
        machine.disk.crash_at, machine.disk.half_done = at, half_done
        try:
            await machine.reach(2)
            return False
        except RunnerEnded as ended:
            assert isinstance(ended.args[0], Crash), ended
        seen = [value for value, _ in machine.application.chain]
        seen = seen[: sum(operation.kind == "committed" for operation in machine.disk.operations)]
        await machine.stop()
        CRASHES[crash](machine.disk)
        machine.start(wires)
        assert [value for value, _ in machine.application.chain][: len(seen)] == seen, "a committed block is lost"
        await machine.reach(4)
        decided = {
            (height, decode_block(value).hash) for height, (value, _) in enumerate(machine.application.chain, start=1)
        }
        for _, message in wires.published:
            if isinstance(message, Vote) and message.height <= 4:
                assert (message.height, message.block_hash) in decided, "another block than the one voted for"
        no_equivocation(wires.published)
        await machine.stop()
        return True

    at = 4  # after the signer's first state was written
    while run_virtual(run(at)):
        at += 1
    assert at > 50, "every operation of two heights"


@pytest.mark.parametrize("half_done", [False, True])
@pytest.mark.parametrize("crash", CRASHES)
def test_one_of_four_goes_on_after_a_crash_at_every_operation_of_a_height_it_proposes(crash, half_done):
    async def run(at: int) -> bool:
        wires, machines = network(4)
        proposer = first_rotation(validators(4)).proposer.address
        victim = next(machine for machine in machines if machine.key.address == proposer)
        for machine in machines:
            machine.start(wires)
        victim.disk.crash_at, victim.disk.half_done = at, half_done
        try:
            await victim.reach(1)
            return False
        except RunnerEnded as ended:
            assert isinstance(ended.args[0], Crash), ended
        await victim.stop()
        CRASHES[crash](victim.disk)
        await asyncio.sleep(0.2)
        victim.start(wires)
        await reach(machines, 3)
        assert len({tuple(value for value, _ in machine.application.chain[:3]) for machine in machines}) == 1
        no_equivocation(wires.published)
        for machine in machines:
            await machine.stop()
        return True

    at = 4
    while run_virtual(run(at)):
        at += 1
    assert at > 25, "every operation of a height"


@pytest.mark.parametrize("crash", CRASHES)
def test_all_of_four_go_on_after_losing_power_together_at_every_operation_of_a_height(crash):
    async def run(at: int) -> bool:
        wires, machines = network(4)
        for machine in machines:
            machine.start(wires)
        machines[0].disk.crash_at = at
        try:
            await machines[0].reach(2)
            return False
        except RunnerEnded as ended:
            assert isinstance(ended.args[0], Crash), ended
        for machine in machines:
            await machine.stop()
            CRASHES[crash](machine.disk)
        began = asyncio.get_running_loop().time()
        for machine in machines:
            machine.start(wires)
        highest = max(machine.application.height for machine in machines)
        await reach(machines, highest + 1)
        assert asyncio.get_running_loop().time() - began <= 10, "the first block takes too long"
        await reach(machines, 3)
        assert len({tuple(value for value, _ in machine.application.chain[:3]) for machine in machines}) == 1
        no_equivocation(wires.published)
        for machine in machines:
            await machine.stop()
        return True

    at = 4
    while run_virtual(run(at)):
        at += 1
    assert at > 30, "every operation of two heights"
