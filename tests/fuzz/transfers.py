"""Random blocks around plain transfers, once with the direct path for them and once without it: everything is equal.

    python -m tests.fuzz.transfers --cases 1000000 --seed 1

A case is one transaction put to a block. Compared are: the outcome (receipt, gas, price, lane, compute units, failure,
output) or the refusal (type and words), the accounts written by each transaction, and at the end of a block everything
that sealing it makes (header with its three roots, bloom, changes, trie nodes, fees, burnt coins). In a sample of blocks
half of the transactions are traced, which always takes the general path: `callTracer` and `prestateTracer` must say the
same in both, and the traced block must be the untraced one; the trace of a transfer is also compared with what it must be.

Nine episodes of ten run on this chain with its lanes and sponsors, with random parameters, in part in blocks that are
nearly full. The tenth runs under Ethereum's fees, with a base fee, a paid coinbase and blobs, from Cancun to Osaka. The
direct path is switched off by a subclass. An episode is a function of its seed, which is printed where the two differ.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from orjson import loads

from cybermiles.chain.fees import Lane, LaneDecision
from cybermiles.chain.params import ChainParams
from cybermiles.errors import CybermilesError, InvariantViolation
from cybermiles.execution.block import BlockEnvironment, BlockExecution
from cybermiles.execution.outcome import TransactionOutcome
from cybermiles.rpc.traces.calls import CallTracer
from cybermiles.rpc.traces.prestate import PrestateTracer
from cybermiles.state.trie import TrieStateReader, update_root
from cybermiles.state.world import WorldState
from cybermiles.system.registry import native_contracts
from cybermiles.types.primitives import GWEI, Hash32, Timestamp, Wei
from cybermiles.types.transaction import check_chain_id
from cybermiles.vm.backend import BlockContext
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.pyevm.startup import prepare_runtime
from cybermiles.vm.rules import ChainRules, Fork, ethereum_rules
from cybermiles.vm.tracing import ByteBudget, Tracers
from tests.factories import ADDRESSES, DEVNET_ID
from tests.fuzz.transfer_cases import TransferCases
from tests.fuzz.transfer_stage import CONTRACTS, PEOPLE, RICH, Stage

if TYPE_CHECKING:
    from cybermiles.execution.parent import Chain, Parent
    from cybermiles.types.primitives import Address
    from cybermiles.types.transaction import Transaction

BLOCKS = 8
"""Of an episode."""
MAX_TRANSACTIONS = 45
TRACED = 0.04
"""Part of the blocks."""
TRACE_BYTES = 10**7
FIELDS = (
    "type", "chain_id", "sender", "to", "nonce", "value", "gas_limit", "max_fee_per_gas", "max_priority_fee_per_gas",
    "data", "access_list", "authorizations", "blob_versioned_hashes", "is_unsigned",
)  # fmt: skip
"""What an error tells of a transaction, where it is not zero."""


class Disagreement(AssertionError):
    """The two paths differ."""


class Direct(PyEvmBackend):
    """The backend as it is, counting."""

    taken = 0
    is_direct = False
    """Whether the newest transaction took the direct path."""

    def _is_transfer(self, world, transaction):
        self.is_direct = super()._is_transfer(world, transaction)
        self.taken += self.is_direct
        return self.is_direct


class General(PyEvmBackend):
    """The backend without its direct path."""

    def _is_transfer(self, world, transaction):
        return False


class Refusal(NamedTuple):
    """Why a transaction is not in the block."""

    kind: str
    words: str


class OurBlock(BlockExecution):
    """A block of this chain, of which something may be used up already."""

    def __init__(self, chain: Chain, parent: Parent, environment: BlockEnvironment, gas: int, units: int) -> None:
        super().__init__(chain, parent, environment)
        before = LaneDecision(Lane.PAID, Wei(0), Wei(0), 0, cut_by_block=False)
        self._lanes.record(None, before, gas_used=gas, compute_units=units)  # type: ignore[arg-type]  # for free ones

    @property
    def gas_left(self) -> int:
        return self._parent.params.block_gas_limit - self._lanes._gas_used


class ForeignBlock:
    """A block under Ethereum's fees."""

    def __init__(self, backend: PyEvmBackend, parent: Parent, context: BlockContext) -> None:
        self._backend, self._parent, self._context = backend, parent, context
        self.world = WorldState(parent.state)
        self.gas_left = context.gas_limit

    def apply(self, transaction, tracer=None):
        check_chain_id(transaction, DEVNET_ID, allow_unprotected=True)
        price = Wei(transaction.effective_gas_price(self._context.base_fee))
        return self._backend.execute_transaction(
            self.world, self._context, transaction, gas_price=price, compute_units=None, tracer=tracer
        )

    def seal(self):
        changes, parent = self.world.changes(), self._parent
        return changes, update_root(parent.nodes, parent.state, parent.state_root, changes)


class Setting(NamedTuple):
    """How to begin a block, again and again."""

    begin: object
    """Backend to block."""
    backends: tuple[Direct, General]
    cases: TransferCases
    coinbase: Address


class Nodes(dict):
    """Trie nodes of an episode on top of the stage's."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage
        self.codes: dict[Hash32, bytes] = {}

    def node(self, owner, node_hash):
        found = self.get((owner, node_hash))
        return self._stage.node(owner, node_hash) if found is None else found

    def code(self, code_hash):
        found = self.codes.get(code_hash)
        return self._stage.code(code_hash) if found is None else found


class Fuzzer:
    """Runs episodes on one stage."""

    def __init__(self) -> None:
        self._stage = Stage()
        rules, contracts = ChainRules(fork=Fork.OSAKA, chain_id=DEVNET_ID), native_contracts()
        self._ours = (Direct(rules, contracts), General(rules, contracts))
        self._foreign = {
            fork: (Direct(ethereum_rules(fork, DEVNET_ID)), General(ethereum_rules(fork, DEVNET_ID))) for fork in Fork
        }
        self.counts: Counter[str] = Counter()

    @property
    def direct(self) -> int:
        """Transactions that took the direct path."""
        return sum(pair[0].taken for pair in (self._ours, *self._foreign.values()))

    def episode(self, seed: int) -> int:
        """Run some blocks on each other and return the number of cases. Raises Disagreement."""
        rng = Random(seed)
        is_foreign, params, cases = rng.random() < 0.1, random_params(rng), 0
        nodes = Nodes(self._stage)
        parent = replace(self._stage.parent, params=params)
        fork = rng.choice(list(Fork))
        for number in range(BLOCKS):
            parent = replace(parent, nodes=nodes, state=TrieStateReader(nodes, nodes, parent.header.state_root))
            setting = self._foreign_setting(rng, parent, fork) if is_foreign else self._our_setting(rng, parent)
            try:
                done, sealed = self._block(rng, setting)
            except (Disagreement, InvariantViolation) as error:
                raise Disagreement(f"--cases 1 --seed {seed}: block {number}: {error}") from error
            cases += done
            if is_foreign:
                changes, update = sealed
                header = replace(parent.header, state_root=update.root, height=parent.header.height + 1)
            else:
                changes, update, header = sealed.changes, sealed.root_update, sealed.header
            for key in update.stale:
                nodes.pop(key, None)
            nodes |= update.nodes
            nodes.codes |= changes.codes
            parent = replace(parent, header=header)
        return cases

    def _our_setting(self, rng: Random, parent: Parent) -> Setting:
        params = parent.params
        environment = BlockEnvironment(
            timestamp=Timestamp(parent.header.timestamp + rng.choice((1, 1, 1, 3_600, 86_400))),
            coinbase=random_coinbase(rng),
            prev_randao=Hash32(rng.randbytes(32)),
            extra_data=Hash32(bytes(32)),
            misbehaviour=(),
        )
        gas = units = 0
        if rng.random() < 0.15:
            gas = params.block_gas_limit - rng.choice((20_999, 21_000, 42_000, rng.randrange(1_000_000)))
        if rng.random() < 0.15:
            units = params.compute_units_per_block - rng.choice((rng.randrange(100), rng.randrange(2_000)))
        chains = {backend: replace(self._stage.chain, backend=backend) for backend in self._ours}
        cases = TransferCases(rng, params.min_gas_price, blobs=rng.random() < 0.05)
        return Setting(
            lambda backend: OurBlock(chains[backend], parent, environment, gas, units),
            self._ours, cases, environment.coinbase,
        )  # fmt: skip

    def _foreign_setting(self, rng: Random, parent: Parent, fork: Fork) -> Setting:
        base_fee, coinbase = rng.choice((0, 7, GWEI)), random_coinbase(rng)
        context = BlockContext(
            height=parent.header.height + 1, timestamp=parent.header.timestamp + 1, coinbase=coinbase,
            gas_limit=30_000_000, prev_randao=Hash32(bytes(32)), base_fee=base_fee, fee_recipient=coinbase,
            block_hash=lambda height: None, excess_blob_gas=rng.choice((0, 2**20, 2**24)),
        )  # fmt: skip
        cases = TransferCases(rng, max(base_fee, 1), blobs=True)
        return Setting(lambda backend: ForeignBlock(backend, parent, context), self._foreign[fork], cases, coinbase)

    def _block(self, rng: Random, setting: Setting):
        """Run one block in both; return the number of cases and what sealing made."""
        direct, general = setting.backends
        one, other = setting.begin(direct), setting.begin(general)
        kept, count, full = [], 0, 0
        last = rng.randint(1, MAX_TRANSACTIONS)
        while count < last and full < 4:
            count += 1
            transaction = setting.cases.next(other.world, other.gas_left, setting.coinbase)
            direct.is_direct = False
            got, expected = attempt(one, transaction), attempt(other, transaction)
            same(got, expected, f"{described(transaction)}:")
            self._count(got)
            full += isinstance(got, Refusal) and got.words.startswith("block ")
            if not isinstance(got, Refusal):
                kept.append((transaction, got[0], direct.is_direct))
        sealed = one.seal()
        same(sealed, other.seal(), "sealing:")
        if rng.random() < TRACED:
            self._trace(rng, setting, kept, sealed)
        self.counts["blocks"] += 1
        return count, sealed

    def _trace(self, rng: Random, setting: Setting, kept, sealed) -> None:
        """Run a block again with tracers: on half of the transactions in the one, on all in the other."""
        one, other = (setting.begin(backend) for backend in setting.backends)
        for transaction, outcome, is_direct in kept:
            calls, accounts = new_tracers()
            same(other.apply(transaction, Tracers((calls, accounts))), outcome, f"traced {described(transaction)}:")
            if is_direct:
                same(
                    loads(calls.render()), call_of_transfer(transaction, outcome), f"trace of {described(transaction)}:"
                )
            tracers = new_tracers() if rng.random() < 0.5 else ()
            got = one.apply(transaction, Tracers(tracers) if tracers else None)
            same(got, outcome, f"half traced {described(transaction)}:")
            for mine, its in zip(tracers, (calls, accounts), strict=False):
                same(mine.render(), its.render(), f"traces of {described(transaction)}:")
            self.counts["traced"] += 1
        same(one.seal(), sealed, "sealing the half traced block:")
        same(other.seal(), sealed, "sealing the traced block:")

    def _count(self, got) -> None:
        if isinstance(got, Refusal):
            self.counts[got.kind] += 1
        elif isinstance(got[0], TransactionOutcome):
            self.counts[f"{got[0].lane.name.lower()} lane"] += 1
        else:
            self.counts["on a foreign chain"] += 1


def attempt(block, transaction: Transaction):
    """Return the outcome with the accounts that were written, or the refusal."""
    try:
        outcome = block.apply(transaction)
    except InvariantViolation:
        raise
    except CybermilesError as error:
        return Refusal(type(error).__name__, str(error))
    world = block.world
    now = {
        address: (before, (world.nonce(address), world.balance(address), world.code_hash(address)))
        for address, before in world.written_accounts().items()
    }
    return outcome, {address: pair for address, pair in now.items() if pair[0] != pair[1]}


def same(got, expected, what: str) -> None:
    """Raise Disagreement where two values differ."""
    if got != expected:
        raise Disagreement(f"{what}\n  with the direct path {got}\n  without it           {expected}")


def new_tracers():
    """Return a tracer of calls and one of accounts."""
    budget = ByteBudget(TRACE_BYTES)
    return CallTracer(budget, {"withLog": True}), PrestateTracer(budget, {"diffMode": True})


def call_of_transfer(transaction: Transaction, outcome) -> dict[str, str]:
    """Return what `callTracer` must say of a transaction that runs nothing."""
    return {
        "type": "CALL", "from": f"0x{transaction.sender.hex()}", "to": f"0x{transaction.to.hex()}",
        "value": hex(transaction.value), "gas": hex(transaction.gas_limit), "gasUsed": hex(outcome.gas_used),
        "input": "0x",
    }  # fmt: skip


def described(transaction: Transaction) -> str:
    """Return the fields of a transaction."""
    names = [name for name in FIELDS if getattr(transaction, name)]
    return ", ".join(f"{name} {shown(getattr(transaction, name))}" for name in names)


def shown(value) -> str:
    """Return bytes as hex digits, other values as they are."""
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)


def random_coinbase(rng: Random) -> Address:
    """Return who proposes: mostly somebody who also sends."""
    chance = rng.random()
    return ADDRESSES[rng.choice(RICH) if chance < 0.6 else rng.randrange(PEOPLE)] if chance < 0.9 else CONTRACTS[0]


def random_params(rng: Random) -> ChainParams:
    """Return parameters under which each limit of lanes and blocks is met now and then."""
    units = rng.choice((100_000, 600_000))
    free_units = rng.choice((1_000, 100_000))
    free_gas = rng.choice((21_000, 60_000, 500_000))
    return ChainParams(
        free_gas_limit=free_gas,
        free_slots_per_block=rng.choice((0, 1, 3, 100)),
        free_gas_per_block=max(free_gas, rng.choice((60_000, 500_000, 20_000_000))),
        free_compute_units_per_transaction=free_units,
        free_compute_units_per_block=min(rng.choice((1, 2, 50)) * free_units, units),
        compute_units_per_transaction=100_000,
        compute_units_per_block=units,
        block_gas_limit=rng.choice((2**24, 200_000_000)),
        min_gas_price=rng.choice((1, 2 * GWEI)),
    )


def run(cases: int, seed: int, report=print) -> Fuzzer:
    """Run at least so many cases and report. Raises Disagreement."""
    prepare_runtime()
    fuzzer, done, began, next_report = Fuzzer(), 0, time.process_time(), 100_000
    while done < cases:
        done += fuzzer.episode(seed)
        seed += 1
        if next_report <= done < cases:
            report(f"{done} cases agree, {done / (time.process_time() - began):.0f} a CPU second")
            next_report += 100_000
    for name, count in fuzzer.counts.most_common():
        report(f"{count:9} {name}")
    report(
        f"{done} cases in {fuzzer.counts['blocks']} blocks agree, {fuzzer.direct} of them on the direct path, "
        f"{fuzzer.counts['traced']} traced; {time.process_time() - began:.0f} s of CPU, next seed {seed}"
    )
    return fuzzer


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first episode; the others follow")
    options = parser.parse_args()
    run(options.cases, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
