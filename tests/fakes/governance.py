"""Governance and staking over a world in memory: what a chain does with them, without transactions and blocks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

from cybermiles.chain.params import ChainParams
from cybermiles.chain.predeploys import GOVERNANCE, STAKING, SYSTEM_CONTRACTS, SYSTEM_STUB
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import Refusal
from cybermiles.governance import proposals, recovery, voting
from cybermiles.governance.end import end_governance
from cybermiles.governance.holds import frozen_accounts
from cybermiles.governance.proposals import Motion, Upgrade
from cybermiles.governance.recovery import leaf_of
from cybermiles.governance.state import governance_state
from cybermiles.staking.founding import found
from cybermiles.staking.state import staking_state
from cybermiles.state.reader import NoState
from cybermiles.state.world import WorldState
from cybermiles.system.abi import load_abi
from cybermiles.system.events import EventCollector
from cybermiles.types.primitives import WEI_PER_CMT, Address
from cybermiles.types.validator import Validator

CMT = WEI_PER_CMT
NOTICE, VOTING, TIMELOCK, CLAIM = 100, 1_000, 200, 5_000
PARAMS = ChainParams(
    gov_bond=10 * CMT,
    gov_notice_seconds=NOTICE,
    gov_voting_seconds=VOTING,
    gov_timelock_seconds=TIMELOCK,
    gov_delay_blocks=5,
    gov_claim_seconds=CLAIM,
    gov_freeze_seconds=3_000,
    validator_size_threshold=Fraction(1),
)
START = 1_000_000
EVERYONE_HAS = 100_000 * CMT


def account(number) -> Address:
    """Return a test account."""
    return Address(number.to_bytes(20, "big").replace(b"\x00", b"\xa5"))


OWNERS = [account(1_000 + number) for number in range(10)]
HOLDERS = [account(2_000 + number) for number in range(10)]
THIEF, STRANGER, VICTIM_A, VICTIM_B = (account(3_000 + number) for number in range(4))


class Chamber:
    """Founders with stakes (CMT), and accounts with money."""

    def __init__(self, stakes=(3_000, 3_000, 2_000, 1_000), params=PARAMS):
        self.params = params
        self.genesis_params = params
        self.height, self.time = 1, START
        self.logs = []
        self.world = WorldState(NoState())
        self.world.begin_transaction()
        for address in SYSTEM_CONTRACTS:
            self.world.set_nonce(address, 1)
            self.world.set_code(address, SYSTEM_STUB)
        for address in (*OWNERS, *HOLDERS, THIEF, STRANGER):
            self.world.set_balance(address, EVERYONE_HAS)
        self.world.set_balance(STAKING, sum(stakes) * CMT)
        founders = [
            SimpleNamespace(
                validator=Validator(keccak256(b"%d" % number), OWNERS[number], 1),
                stake_cap=stake * CMT * 10,
                comp_rate=Fraction(1, 5),
                stake=stake * CMT,
                name=f"v{number}",
            )
            for number, stake in enumerate(stakes)
        ]
        self.supply = sum(stakes) * CMT + 22 * EVERYONE_HAS
        document = SimpleNamespace(
            validators=founders, supply=self.supply, timestamp=START, foundation=account(9_999), params=params
        )
        found(self.staking(), document)
        self.world.end_transaction()

    def staking(self):
        sink = EventCollector(STAKING, load_abi("ICmtStaking"), [])
        faults = EventCollector(STAKING, load_abi("ICmtSlashing"), [])
        return staking_state(self.world, self.params, height=self.height, time=self.time, events=sink, faults=faults)

    def state(self):
        events = EventCollector(GOVERNANCE, load_abi("ICmtGovernance"), self.logs)
        return governance_state(self.world, self.params, height=self.height, time=self.time, events=events)

    def run(self, function, *arguments, **named):
        """Run one operation as a transaction: a refusal leaves nothing behind."""
        self.world.begin_transaction()
        logs = len(self.logs)
        mark = self.world.snapshot()
        try:
            return function(self.state(), *arguments, **named)
        except Refusal:
            self.world.revert(mark)
            del self.logs[logs:]
            raise
        finally:
            self.world.end_transaction()

    def motion(self, proposer=OWNERS[0], *, bond=None, title="title", reason="reason", closes=0):
        bond = self.params.gov_bond if bond is None else bond
        return Motion(proposer=proposer, bond=bond, title=title, reason=reason, closes=closes)

    def propose(self, function, *arguments, **motion):
        wanted = self.motion(**motion)

        def paid(state):
            state.world.subtract_balance(wanted.proposer, wanted.bond)
            state.world.add_balance(GOVERNANCE, wanted.bond)
            return function(state, wanted, *arguments)

        return self.run(paid)

    def signal(self, **motion):
        return self.propose(proposals.propose_signal, **motion)

    def param(self, name="free_slots_per_block", value="150", from_block=0, **motion):
        return self.propose(proposals.propose_param, name, value, from_block, **motion)

    def upgrade(self, version=2, at_block=0, **motion):
        terms = Upgrade(
            name="n", version="2.0", app_version=version, at_block=at_block, artifact_hash=b"\x05" * 32, url="u"
        )
        return self.propose(proposals.propose_upgrade, terms, **motion)

    def recover(self, from_=THIEF, amount=3_000 * CMT, victims=None, root=None, **motion):
        victims = {VICTIM_A: amount // 3, VICTIM_B: amount - amount // 3} if victims is None else victims
        root = tree(victims)[0] if root is None else root
        return self.propose(proposals.propose_recovery, from_, amount, root, b"\x0e" * 32, **motion)

    def vote(self, proposal, voter, choice=1):
        return self.run(voting.vote, proposal, voter, choice)

    def support(self, proposal, *voters):
        for voter in voters:
            self.run(voting.support_hold, proposal, voter)

    def cancel(self, proposal, caller):
        return self.run(voting.cancel, proposal, caller)

    def claim(self, proposal, victim, amount, proof):
        return self.run(recovery.claim, proposal, victim, amount, proof)

    def end_block(self, seconds=1):
        """End this block and begin the next one `seconds` later."""
        self.world.begin_transaction()
        self.params = end_governance(self.state())
        self.world.end_transaction()
        self.height += 1
        self.time += seconds

    def wait(self, seconds):
        """Let time pass, with a block at the end of it."""
        self.end_block(seconds)
        self.end_block()

    def frozen(self):
        return frozen_accounts(self.state().storage, self.time)

    def events(self, name):
        topic = load_abi("ICmtGovernance").events[name].topic
        return [log for log in self.logs if log.topics[0] == topic]

    @property
    def coins(self):
        """All wei there are, and those that were burnt."""
        return sum(fields[1] for fields in self.world._accounts.values()) + self.world.burnt


def tree(victims):
    """Return (root, proofs by victim) of {victim: amount} as OpenZeppelin's merkle-tree builds it."""
    leaves = sorted((leaf_of(victim, amount), victim) for victim, amount in victims.items())
    nodes = [b""] * (len(leaves) - 1) + [leaf for leaf, _ in reversed(leaves)]
    for index in range(len(leaves) - 2, -1, -1):
        nodes[index] = keccak256(b"".join(sorted(nodes[2 * index + 1 : 2 * index + 3])))
    proofs = {}
    for place, (_, victim) in enumerate(reversed(leaves)):
        at, proof = len(leaves) - 1 + place, []
        while at:
            proof.append(nodes[at + 1 if at % 2 else at - 1])
            at = (at - 1) // 2
        proofs[victim] = tuple(proof)
    return nodes[0], proofs


def with_params(**changes):
    """Return the chamber's parameters, changed."""
    return replace(PARAMS, **changes)
