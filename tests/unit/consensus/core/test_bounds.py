"""What liars send costs bounded memory and bounded work, and the same inputs give the same effects in every process."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from cybermiles.consensus.core import inputs as i
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from tests.fakes.consensus_core import HEIGHT, IN_TIME, NEVER, PRECOMMIT, PREVOTE, Player, block_hash

ROOT = Path(__file__).parents[4]
LIAR = 1


@pytest.fixture
def player():
    player = Player().rotate(to_own=False)
    player.start()
    return player


def flood(player, rounds):
    """One liar's votes, proposals and certificates for many rounds of this height and the next."""
    engine = player.engine
    for round_ in rounds:
        for player.height in (HEIGHT, HEIGHT + 1):
            for value in "ABC":
                for type_ in (PREVOTE, PRECOMMIT):
                    engine.handle(i.VoteReceived(player.vote(type_, round_, value, LIAR)))
                engine.handle(i.ProposalReceived(player.signed(round_, value), IN_TIME))
            votes = (player.vote(PREVOTE, round_, "D", LIAR), player.vote(PREVOTE, round_, "D", LIAR))
            engine.handle(i.CertificateReceived(PolkaCertificate(player.height, round_, block_hash("D"), votes)))
            engine.handle(i.CertificateReceived(RoundCertificate(player.height, round_, votes)))
    player.height = HEIGHT


def test_votes_for_rounds_up_to_a_million_leave_nothing_behind(player):
    flood(player, range(0, 1_000, 7))
    tracemalloc.start()
    try:
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        flood(player, range(1_000, NEVER, 997))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
    assert player.engine.round == 0
    assert player.engine.rounds() == (0,)


def test_after_the_flood_the_height_is_decided_and_the_next_one_too(player):
    flood(player, range(0, NEVER, 10_007))
    player.checked("A")
    assert player.precommits(0, "A", 2) == []
    assert player.precommits(0, "A", 3)[-1] == ("decide", 0, "A")  # with the liar's first of three votes
    player.height = HEIGHT + 1
    player.start()
    assert player.engine.round == 0
    player.checked("B")
    assert player.commit(0, "B", 0, 2, 3)[-1] == ("decide", 0, "B")


def test_ten_thousand_rounds_are_skipped_where_an_honest_minority_is_there(player):
    player.prevotes(10_000, None, 1, 2)
    assert player.engine.round == 10_000
    assert player.engine.rounds() == (10_000,)
    assert player.engine.proposer(10_000) == player.rotation.advanced(10_000).proposer


@pytest.mark.slow
def test_effects_do_not_depend_on_how_a_process_hashes_bytes():
    code = (
        "from hashlib import sha256\n"
        "from tests.fuzz import consensus_core as fuzz\n"
        "digest = sha256()\n"
        "for seed in range(60):\n"
        "    log = fuzz.Log(seed)\n"
        "    handle = log.engine.handle\n"
        "    def recorded(input_):\n"
        "        effects = handle(input_)\n"
        "        digest.update(repr(effects).encode())\n"
        "        return effects\n"
        "    log.engine.handle = recorded\n"
        "    log.run()\n"
        "print(digest.hexdigest())\n"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True,
            capture_output=True, text=True,
        ).stdout
        for seed in ("0", "1", "4242")
    ]  # fmt: skip
    assert len(digests[0]) == 65
    assert len(set(digests)) == 1
