"""What the economy adds to a block: 24 elected members, 1 000 and 100 000 delegators, in one run.

Timed for each block: absences and evidence before the transactions; exits, awards, one member's sharing out and the
election after them; the changes they make and the state root with them. Beside it the same block with a mint alone. One
member is absent in every tenth block. Reads come from a dictionary, as they come from the flat state's cache in a node.
"""

from __future__ import annotations

import json
import statistics
import time

from benchmarks.bench_block import MemoryTrie
from cybermiles.chain.params import ChainParams
from cybermiles.chain.predeploys import STAKING, VESTING
from cybermiles.execution.begin_block import begin_block
from cybermiles.execution.end_block import end_block
from cybermiles.staking.delegations import delegate
from cybermiles.staking.state import Silence, staking_state
from cybermiles.state.trie import update_root
from cybermiles.state.world import WorldState
from cybermiles.system.abi import load_abi
from cybermiles.system.events import EventCollector
from cybermiles.types.primitives import Address
from tests.fakes.staking import CMT, Staking, account

MEMBERS = 24
BLOCKS = 300
SIZES = (1_000, 100_000)


class Flat:
    """The head's accounts and words in dictionaries, its trie beside them."""

    def __init__(self, world):
        self.trie = MemoryTrie()
        self.accounts, self.words = {}, {}
        self.take(world.changes(), WorldState(self))

    def account(self, address):
        return self.accounts.get(address)

    def storage(self, address, slot):
        return self.words.get((address, slot), 0)

    def code(self, code_hash):
        return b""

    def root_of(self, changes):
        return update_root(self.trie, self, self.trie.root, changes)

    def take(self, changes, _=None):
        self.store(changes, self.root_of(changes))

    def store(self, changes, update):
        self.trie.nodes |= update.nodes
        self.trie.root = update.root
        self.accounts |= update.accounts
        for address, slots in changes.storage.items():
            self.words |= {(address, slot): word for slot, word in slots.items()}


def populate(delegators):
    """Return (flat state, staking harness) of a chain with 24 members and as many delegators."""
    chain = Staking(ChainParams(), founders=MEMBERS, accounts=MEMBERS + 1, cap=10_000_000 * CMT)
    coins = Address(b"\xcc" * 20)
    chain.world.set_balance(coins, 3_000 * CMT * delegators)
    state = staking_state(chain.world, chain.params, height=1, time=chain.time, events=Silence(), faults=Silence())
    for number in range(delegators):
        amount = (1_000 + number % 977) * CMT
        chain._move(coins, amount)
        delegate(state, Address(b"\xde" + number.to_bytes(19)), account(number % MEMBERS), amount)
        chain.world.end_transaction()
        chain.world.begin_transaction()
    chain.world.end_transaction()
    return Flat(chain.world), chain


def measure(delegators):
    """Return the economy's and the bare block's median milliseconds, and the words that the economy changes."""
    flat, chain = populate(delegators)
    signed = [(m.address, m.power, True) for m in chain.current.validators]
    times, bare, words = [], [], []
    for height in range(2, BLOCKS + 2):
        present = [(a, p, not (height % 10 == 0 and i == 7)) for i, (a, p, _) in enumerate(signed)]
        began = time.process_time()
        world = WorldState(flat)
        world.begin_transaction()
        state = staking_state(
            world, chain.params, height=height, time=chain.time + height, events=Silence(), faults=Silence()
        )
        begin_block(state, present, ())
        elected = end_block_of(state, present)
        world.end_transaction()
        changes = world.changes()
        update = flat.root_of(changes)
        times.append(time.process_time() - began)
        began = time.process_time()
        other = WorldState(flat)
        other.begin_transaction()
        other.add_balance(STAKING, 2 * CMT)
        other.end_transaction()
        flat.root_of(other.changes())
        bare.append(time.process_time() - began)
        words.append(len(changes.storage[STAKING]))
        flat.store(changes, update)
        if elected is not None:
            signed = [(m.address, m.power, True) for m in elected.validators]
    return statistics.median(times) * 1e3, statistics.median(bare) * 1e3, statistics.median(words), max(times) * 1e3


def end_block_of(state, signed):
    vesting = EventCollector(VESTING, load_abi("ICmtVesting"), [])
    return end_block(state, signed, vesting, minted=2_536_783_358_701_166_920, fees=0)


def main():
    """Print one JSON line per size."""
    for size in SIZES:
        took, bare, words, worst = measure(size)
        figure = {
            "case": "economy of a block", "members": MEMBERS, "delegators": size, "ms": round(took - bare, 3),
            "ms_with_mint_alone": round(bare, 3), "ms_worst": round(worst, 3), "words": words,
        }  # fmt: skip
        print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    main()
