"""What a transaction costs an importing node as the state and the blocks grow: decode to synced commit, LevelDB on disk.

    python -m benchmarks.bench_scale --accounts 10000 100000 1000000 --blocks 100 1000 10000

One node builds blocks of plain transfers from 2 000 accounts to accounts spread over all of the state; another imports them with every
check, recovering each sender, as a node that never saw the transactions. Beside the total stand its two largest parts: signature
recovery alone, and the state root for each touched account. Times are CPU time of the process; caches are cold for most accounts at 10^6.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import structlog

import cybermiles.execution.block as block_module
from benchmarks.load import PRICE, accounts, private_key
from cybermiles.application.application import ChainApplication
from cybermiles.chain.genesis import Allocation
from cybermiles.crypto import ed25519
from cybermiles.execution.genesis import genesis_block
from cybermiles.execution.parent import Chain
from cybermiles.state import trie
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions
from cybermiles.system.registry import native_contracts
from cybermiles.types.abci import PrepareRequest
from cybermiles.types.block import decode_block
from cybermiles.types.commit import Commit
from cybermiles.types.primitives import Address, Wei
from cybermiles.types.transaction import recover_senders
from cybermiles.types.transaction_codec import UnsignedTransaction, decode_transaction
from cybermiles.types.vote import VoteType, vote_sign_bytes
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.pyevm.startup import prepare_runtime
from cybermiles.vm.rules import ChainRules, Fork
from tests.factories import VALIDATOR_KEY, genesis_document

SENDERS = 2_000
PARAMS = {"block_gas_limit": 10**9, "max_block_bytes": 16 * 2**20, "compute_units_per_block": 30_000_000}


class Inline:
    async def run(self, function, *args, **kwargs):
        return function(*args, **kwargs)


def recipient(number):
    return Address(b"\xac" + number.to_bytes(19))


class Node:
    """One application over a store of its own on disk."""

    def __init__(self, home, document, genesis):
        self.database = Database(LevelDB(Path(home), LevelDBOptions(cache_bytes=64 * 2**20)))
        self.database.commit_genesis(genesis)
        self.chain = Chain(
            chain_id=document.chain_id,
            genesis_hash=document.hash,
            allow_unprotected=False,
            backend=PyEvmBackend(ChainRules(fork=Fork.OSAKA, chain_id=document.chain_id), native_contracts()),
        )
        self.application = ChainApplication(
            chain=self.chain, database=self.database, params=document.params, worker=Inline(), listeners=()
        )

    async def build(self, transactions):
        info = await self.application.info()
        request = PrepareRequest(
            height=info.height + 1,
            timestamp=info.timestamp + 1,
            proposer=info.validators.validators[0].address,
            last_commit=info.last_commit,
        )
        return await self.application.prepare_proposal(request, transactions)

    async def take(self, block_hash, height):
        message = vote_sign_bytes(
            self.chain.chain_id, self.chain.genesis_hash, VoteType.PRECOMMIT, height, 0, block_hash
        )
        await self.application.finalize_block(block_hash)
        await self.application.commit(Commit(height, 0, block_hash, (ed25519.sign(VALIDATOR_KEY, message),)))


class Roots:
    """Time that the state root takes, by wrapping the one function."""

    def __init__(self):
        self.seconds, self.touched = 0.0, 0
        self.original = trie.update_root

    def __call__(self, nodes, reader, root, changes):
        began = time.process_time()
        update = self.original(nodes, reader, root, changes)
        self.seconds += time.process_time() - began
        self.touched += len(changes.accounts)
        return update


async def measure(size, block_sizes, seed):
    """Yield a line for each size of block on a state of `size` accounts."""
    rng = random.Random(seed)
    document = genesis_document()
    document = replace(document, params=replace(document.params, **PARAMS))
    funded = [*accounts(SENDERS), *(recipient(n) for n in range(size - SENDERS))]
    share = Wei(10**18)
    *others, last = document.allocations
    rest = replace(last, amount=Wei(last.amount - share * len(funded)))
    document = replace(
        document, allocations=(*others, rest, *(Allocation(f"a{i}", a, share) for i, a in enumerate(funded)))
    )
    genesis = genesis_block(document)
    roots = Roots()
    with tempfile.TemporaryDirectory() as home:
        producer, importer = Node(f"{home}/a", document, genesis), Node(f"{home}/b", document, genesis)
        nonces, height = [0] * SENDERS, 0
        for count in block_sizes:
            for _ in range(max(2, 2_000 // count)):
                signed = []
                for i in range(count):
                    sender = i % SENDERS
                    signed.append(
                        UnsignedTransaction(
                            chain_id=document.chain_id, nonce=nonces[sender], max_fee_per_gas=PRICE,
                            max_priority_fee_per_gas=PRICE, gas_limit=21_000, to=recipient(rng.randrange(size - SENDERS)), value=1,
                        ).sign(private_key(sender))
                    )  # fmt: skip
                    nonces[sender] += 1
                proposal = await producer.build(signed)
                height += 1
                assert len(decode_block(proposal.value, max_bytes=2**26).transactions) == count
                fresh = [decode_transaction(tx.raw) for tx in signed]
                began = time.process_time()
                recover_senders(fresh)
                recovery = time.process_time() - began
                block_module.update_root, roots.seconds, roots.touched = roots, 0.0, 0
                began, clock = time.process_time(), time.perf_counter()
                verdict = await importer.application.process_proposal(proposal.value)
                await importer.take(proposal.block_hash, height)
                total, wall = time.process_time() - began, time.perf_counter() - clock
                block_module.update_root = roots.original
                assert verdict.accepted, verdict.reason
                await producer.take(proposal.block_hash, height)
            yield {
                "case": "import of a block", "accounts": size, "transactions": count,
                "us_per_tx": round(total / count * 1e6, 1), "wall_us_per_tx": round(wall / count * 1e6, 1),
                "recovery_us_per_tx": round(recovery / count * 1e6, 1), "ratio_to_recovery": round(total / recovery, 2),
                "root_us_per_account": round(roots.seconds / roots.touched * 1e6, 1),
            }  # fmt: skip


async def print_all(options):
    for size in options.accounts:
        async for line in measure(size, options.blocks, options.seed):
            print(json.dumps(line), flush=True)


def main():
    """Print a line for each size of state and block: the last of a few blocks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--blocks", type=int, nargs="*", default=[100, 1_000, 10_000])
    parser.add_argument("--seed", type=int, default=1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # no line for each block
    prepare_runtime()
    asyncio.run(print_all(parser.parse_args()))


if __name__ == "__main__":
    main()
