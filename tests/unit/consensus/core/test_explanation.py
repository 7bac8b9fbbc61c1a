"""What an operator reads when the chain stands still."""

from __future__ import annotations

import pytest

from tests.fakes.consensus_core import Player, block_hash


@pytest.fixture
def player():
    player = Player().rotate(to_own=False)
    player.start()
    return player


def name(player, sender):
    return "0x" + player.members.addresses[sender].hex()


def test_the_proposal_is_missing(player):
    proposer = name(player, player.proposers[0])
    assert player.engine.explain() == f"Height 7, round 0, step propose: no proposal from its proposer {proposer} yet."


def test_the_block_is_missing(player):
    player.proposal(0, "A")
    text = player.engine.explain()
    assert f"block 0x{block_hash('A').hex()} of proposer" in text
    assert "is incomplete or unchecked" in text


def test_the_polka_under_the_proposal_is_missing(player):
    player.prevotes(1, None, 1)
    player.precommits(1, None, 2)
    player.block(1, "A", 0)
    assert "rests on a quorum of prevotes of round 0, which has not arrived" in player.engine.explain()


def test_votes_are_missing_and_whose(player):
    player.timeout("propose", 0)
    player.prevotes(0, None, 2)
    text = player.engine.explain()
    assert "step prevote: 2 of 4 power sent a prevote, 3 are needed; missing: " in text
    assert f"{name(player, 1)} (power 1), {name(player, 3)} (power 1)." in text
    assert name(player, 2) not in text


def test_no_vote_at_all(player):
    observer = Player(own=None)
    observer.start()
    observer.timeout("propose", 0)
    assert "0 of 4 power sent a prevote" in observer.engine.explain()


def test_votes_do_not_agree(player):
    player.timeout("propose", 0)
    player.prevotes(0, "A", 1, 2)
    assert "the prevotes of 3 of 4 power do not agree" in player.engine.explain()
    player.timeout("prevote", 0)
    player.precommits(0, "A", 1, 2, 3)
    assert "a quorum precommitted block" in player.engine.explain()


def test_precommits_are_missing(player):
    player.timeout("propose", 0)
    player.prevotes(0, None, 1, 2, 3)
    assert "step precommit: 1 of 4 power sent a precommit" in player.engine.explain()
    player.precommits(0, "A", 1, 2, 3)
    assert "has not got it or has refused it" in player.engine.explain()


def test_everybody_voted_and_the_round_ends_with_its_timer(player):
    player.timeout("propose", 0)
    player.prevotes(0, None, 1, 2, 3)
    player.precommits(0, None, 1, 2, 3)
    assert "do not agree, the round ends with its timer; missing: nobody." in player.engine.explain()


def test_a_quorum_agrees_on_a_block_that_is_not_here(player):
    player.timeout("propose", 0)
    player.prevotes(0, "A", 1, 2, 3)
    assert f"a quorum sent a prevote for block 0x{block_hash('A').hex()}" in player.engine.explain()


def test_a_decided_height(player):
    player.checked("A")
    player.commit(0, "A", 1, 2, 3)
    assert player.engine.explain() == (
        f"Height 7 is decided: block 0x{block_hash('A').hex()} in round 0; the next height has not started."
    )


def test_a_long_list_is_cut():
    player = Player(*([1] * 30), own=None)
    player.start()
    player.timeout("propose", 0)
    text = player.engine.explain()
    assert text.count("power 1") == 10
    assert text.endswith("and 20 more.")
