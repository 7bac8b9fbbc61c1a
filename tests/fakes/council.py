"""A chain in memory whose four founders stake, with parameters by vote: `MemoryChain` as a node's application has it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from cybermiles.application.governed import EffectiveParams
from cybermiles.chain.genesis import GenesisDocument, founder, with_stake_powers
from cybermiles.chain.params import ChainParams
from cybermiles.chain.predeploys import GOVERNANCE
from cybermiles.execution.simulate import Simulation
from cybermiles.system.abi import load_abi
from cybermiles.types.primitives import WEI_PER_CMT, Address
from cybermiles.vm.backend import CallMessage
from tests.factories import ADDRESSES, KEYS, PAID, MemoryChain, genesis_document, sign, validator

CMT = WEI_PER_CMT
ABI = load_abi("ICmtGovernance")
STAKING_ABI = load_abi("ICmtStaking")
NOTICE, VOTING, TIMELOCK = 10, 100, 20
PARAMS = ChainParams(
    gov_bond=10 * CMT,
    gov_notice_seconds=NOTICE,
    gov_voting_seconds=VOTING,
    gov_timelock_seconds=TIMELOCK,
    gov_delay_blocks=3,
    gov_claim_seconds=1_000,
)
FOUNDERS, RICH = 4, 20
"""Accounts 0 to 3 are the founders' operators; those below RICH have a million CMT."""


def council_document(params=PARAMS, stakes=(300_000, 200_000, 200_000, 100_000)) -> GenesisDocument:
    """Return a document whose founders stake these CMT."""
    document = genesis_document(params)
    rich = tuple(
        replace(allocation, amount=1_000_000 * CMT if number < RICH else allocation.amount)
        for number, allocation in enumerate(document.allocations[:-1])
    )
    rest = replace(document.allocations[-1], amount=document.supply - sum(entry.amount for entry in rich))
    founders = with_stake_powers(
        [founder(f"v{n}", validator(n), stake * CMT, params) for n, stake in enumerate(stakes)], params
    )
    return replace(document, allocations=(*rich, rest), validators=founders)


class CouncilChain(MemoryChain):
    """Has the parameters that members decided, and calls of the contracts by name."""

    def __init__(self, document=None):
        super().__init__(document=document or council_document())
        self.effective = EffectiveParams(self.document.params)
        self.outcome = None
        self.nonces = {}

    @property
    def parent(self):
        return replace(super().parent, params=self.effective.at(self.state))

    def send(self, number, data, *, to=GOVERNANCE, value=0, gas=4_000_000, price=PAID, **more):
        """Return account `number`'s next transaction."""
        nonce = self.nonces.get(number, self.nonce(ADDRESSES[number]))
        self.nonces[number] = nonce + 1
        return sign(KEYS[number], nonce, to=to, value=value, gas=gas, price=price, data=data, **more)

    def act(self, *transactions, seconds=1):
        """Make a block of transactions, which must all succeed; return their outcomes."""
        block, outcome = self.advance(transactions, seconds)
        self.nonces.clear()
        assert len(block.transactions) == len(transactions), "a transaction was left out"
        failed = [result for result in outcome.transactions if not result.receipt.succeeded]
        assert not failed, [result.output.hex() or result.failure for result in failed]
        self.outcome = outcome
        return outcome.transactions

    def govern(self, number, name, *arguments, **more):
        """Return a transaction that calls the governance contract."""
        return self.send(number, ABI.functions[name].encode_call(*arguments), **more)

    def wait(self, seconds):
        """Let time pass: a block at its end and one behind it."""
        for step in (seconds, 1):
            self.act(seconds=step)

    def view(self, name, *arguments, sender=ADDRESSES[50]):
        """Return what a reading function of the governance contract answers at the head."""
        simulation = Simulation(chain=self.chain, params=self.parent.params, header=self.head, state=self.state)
        function = ABI.functions[name]
        message = CallMessage(sender=sender, to=GOVERNANCE, gas=10_000_000, data=function.encode_call(*arguments))
        result = simulation.call(message, compute_units=400_000)
        assert result.failure is None, result
        return function.decode_output(result.output)


def artifact(name):
    """Return a compiled test contract."""
    return json.loads((Path(__file__).parents[1] / "contracts" / f"{name}.json").read_text())


def event_names(logs) -> list[str]:
    """Return the names of the governance contract's events among logs, in order."""
    names = {event.topic: name for name, event in ABI.events.items()}
    return [names[log.topics[0]] for log in logs if log.address == GOVERNANCE]


def hoard(number) -> Address:
    """Return an address nobody has a key of."""
    return Address(bytes([0x70 + number]) * 20)
