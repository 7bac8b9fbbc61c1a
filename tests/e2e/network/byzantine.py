"""A node whose validator signs twice, to test what the others do about it. No product code can do this.

    python -m tests.e2e.network.byzantine --home DIR [--every 5]

In every n-th height it says its prevote and, signed by the same key, one for nothing at all beside it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from cybermiles.consensus.runner import ConsensusRunner
from cybermiles.consensus.validator_key import load_key
from cybermiles.crypto import ed25519
from cybermiles.node.config import load_config
from cybermiles.node.data_dir import DataDir
from cybermiles.node.node import run_node
from cybermiles.types.vote import Vote, VoteType


class Equivocator:
    """`consensus.ports.Gossip` that says more than it was told."""

    def __init__(self, gossip, key, document, every):
        self._gossip = gossip
        self._key = key
        self._chain = (document.chain_id, document.hash)
        self._every = every

    def publish(self, message):
        self._gossip.publish(message)
        if isinstance(message, Vote) and message.type is VoteType.PREVOTE and message.height % self._every == 0:
            self._gossip.publish(self._contradict(message))

    def _contradict(self, vote):
        other = replace(vote, block_hash=b"\xee" * 32 if vote.block_hash is None else None)
        return replace(other, signature=ed25519.sign(self._key.private, other.sign_bytes(*self._chain)))

    def __getattr__(self, name):
        return getattr(self._gossip, name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--every", type=int, default=5)
    arguments = parser.parse_args()
    directory = DataDir(arguments.home)
    document, key = directory.load_genesis(), load_key(directory.validator_key)
    join = ConsensusRunner.join

    def join_lying(runner, gossip):
        join(runner, Equivocator(gossip, key, document, arguments.every))

    ConsensusRunner.join = join_lying
    run_node(load_config(arguments.home))


if __name__ == "__main__":
    main()
