"""The light client's verdicts: a table of the classes every implementation is tested with, and bisection."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.errors import ConfigError, DecodingError, InvariantViolation
from cybermiles.sync.light_client import (
    Bisection,
    Divergence,
    InvalidLightBlock,
    NotEnoughTrust,
    TrustExpired,
    check_checkpoint,
    check_witness,
    verify_light_block,
)
from cybermiles.types import rlp
from cybermiles.types.commit import Commit
from cybermiles.types.light_block import MAX_LIGHT_BLOCK_BYTES, decode_light_block
from cybermiles.types.primitives import ZERO_HASH
from cybermiles.types.validator import ValidatorSet
from tests.fakes.light_blocks import GENESIS, PERIOD, chain, light_block, member, members, options, resigned, trusted

ABC = members("a", "b", "c")
ROOT = light_block(1, 100, ABC)
NOW = 500


def child(**changes):
    return light_block(2, 110, ABC, parent=ROOT.header.hash, **changes)


def later(validators, **changes):
    return light_block(9, 200, validators, **changes)


def without_signatures(block):
    return dataclasses.replace(
        block, commit=dataclasses.replace(block.commit, signatures=(None,) * len(block.commit.signatures))
    )


def signed_by(*names):
    keys = {member(name).consensus_key for name in names}
    return lambda validator: validator.consensus_key in keys


FORGED = b"\x01" * 64
CASES = {
    "adjacent": (child(), NOW, None),
    "skipping, same validators": (later(ABC), NOW, None),
    "last second of trust": (child(), 100 + PERIOD - 1, None),
    "expired": (child(), 100 + PERIOD, TrustExpired),
    "future time inside the drift": (child(), 101, None),
    "future time at the drift": (child(), 100, InvalidLightBlock),
    "same height": (light_block(1, 110, ABC), NOW, InvalidLightBlock),
    "lower height": (light_block(0, 110, ABC), NOW, InvalidLightBlock),
    "same time": (light_block(2, 100, ABC, parent=ROOT.header.hash), NOW, InvalidLightBlock),
    "earlier time": (light_block(9, 99, ABC), NOW, InvalidLightBlock),
    "adjacent, not the child": (light_block(2, 110, ABC), NOW, InvalidLightBlock),
    "adjacent, other validators": (
        light_block(2, 110, members("a", "b", "d"), parent=ROOT.header.hash),
        NOW,
        InvalidLightBlock,
    ),
    "under 1/3 changed": (later(members("a", "b", "c", "d")), NOW, None),
    "1/3 changed": (later(members("a", "b", "d")), NOW, None),
    "2/3 changed: exactly 1/3 is known": (later(members("a", "d", "e")), NOW, NotEnoughTrust),
    "more than 2/3 changed": (later(members("d", "e", "f")), NOW, NotEnoughTrust),
    "2 of 3 known, one of them signed": (
        later(members("a", "b", "d", "e", "f", "g"), signs=signed_by("a", "d", "e", "f", "g")),
        NOW,
        NotEnoughTrust,
    ),
    "exactly 2/3 signed": (later(ABC, signs=signed_by("a", "b")), NOW, InvalidLightBlock),
    "exactly 2/3 signed, adjacent": (child(signs=signed_by("a", "b")), NOW, InvalidLightBlock),
    "nobody signed, adjacent": (without_signatures(child()), NOW, InvalidLightBlock),
    "nobody signed, skipping": (without_signatures(later(ABC)), NOW, NotEnoughTrust),
    "empty commit": (
        dataclasses.replace(child(), commit=Commit(2, 0, child().header.hash, ())),
        NOW,
        InvalidLightBlock,
    ),
    "commit of another block": (
        dataclasses.replace(child(), commit=dataclasses.replace(child().commit, block_hash=GENESIS)),
        NOW,
        InvalidLightBlock,
    ),
    "commit of another height": (
        dataclasses.replace(child(), commit=dataclasses.replace(child().commit, height=3)),
        NOW,
        InvalidLightBlock,
    ),
    "signatures of another chain, adjacent": (resigned(child(), chain_id=19), NOW, InvalidLightBlock),
    "signatures of another chain, skipping": (resigned(later(ABC), chain_id=19), NOW, InvalidLightBlock),
    "signatures of another height": (resigned(child(), height=3), NOW, InvalidLightBlock),
    "one of the new members' signatures is wrong": (
        dataclasses.replace(
            later(members("a", "b", "c", "d")),
            commit=dataclasses.replace(
                later(members("a", "b", "c", "d")).commit,
                signatures=tuple(
                    FORGED if v.address == member("d").address else s
                    for v, s in zip(
                        members("a", "b", "c", "d").validators,
                        later(members("a", "b", "c", "d")).commit.signatures,
                        strict=True,
                    )
                ),
            ),
        ),
        NOW,
        InvalidLightBlock,
    ),
    "a trusted member's signature is wrong, though there are too few": (
        dataclasses.replace(
            later(members("a", "d", "e")),
            commit=dataclasses.replace(later(members("a", "d", "e")).commit, signatures=(FORGED,) * 3),
        ),
        NOW,
        InvalidLightBlock,
    ),
    "empty commit, skipping": (
        dataclasses.replace(later(ABC), commit=Commit(9, 0, later(ABC).header.hash, ())),
        NOW,
        InvalidLightBlock,
    ),
    "the genuine commit of another block": (
        dataclasses.replace(later(ABC), commit=later(ABC, salt=b"other").commit),
        NOW,
        InvalidLightBlock,
    ),
    "the header's hash, signed at another height": (
        dataclasses.replace(
            resigned(later(ABC), height=8),
            commit=dataclasses.replace(resigned(later(ABC), height=8).commit, height=8),
        ),
        NOW,
        InvalidLightBlock,
    ),
    "two of three, passed off as two of two": (
        resigned(dataclasses.replace(later(ABC), validators=members("a", "b"))),
        NOW,
        InvalidLightBlock,
    ),
    "other validators than the header names": (
        dataclasses.replace(later(ABC), validators=members("a", "b", "d")),
        NOW,
        InvalidLightBlock,
    ),
    "other next validators than the header names": (
        dataclasses.replace(later(ABC), next_validators=members("a", "b", "d")),
        NOW,
        InvalidLightBlock,
    ),
    "other consensus fields than the header commits to": (
        dataclasses.replace(later(ABC), digest=dataclasses.replace(later(ABC).digest, app_version=2)),
        NOW,
        InvalidLightBlock,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_verdict(case):
    block, now, verdict = CASES[case]
    if verdict is None:
        result = verify_light_block(trusted(ROOT), block, options(), now)
        assert (result.height, result.block_hash) == (block.height, block.header.hash)
        assert result.next_validators == block.next_validators
    else:
        with pytest.raises(verdict):
            verify_light_block(trusted(ROOT), block, options(), now)


def test_the_power_that_counts_is_what_a_member_had_in_the_trusted_set():
    """A member that was one of three has bought everything since: it proves no more than it did then."""
    rich = ValidatorSet((member("a", 1_000), member("d", 1)))
    with pytest.raises(NotEnoughTrust):
        verify_light_block(trusted(ROOT), later(rich), options(), NOW)


def test_a_higher_trust_level_wants_more_of_the_known():
    block = later(members("a", "b", "d"))
    verify_light_block(trusted(ROOT), block, options(trust_level=(1, 2)), NOW)
    with pytest.raises(NotEnoughTrust):
        verify_light_block(trusted(ROOT), block, options(trust_level=(2, 3)), NOW)


@pytest.mark.parametrize("level", [(1, 4), (0, 1), (4, 3), (-1, -3)])
def test_levels_that_prove_nothing_are_refused(level):
    with pytest.raises(ConfigError, match="1/3"):
        options(trust_level=level)


@pytest.mark.parametrize("change", [{"trusting_period": 0}, {"max_clock_drift": -1}])
def test_periods_are_positive(change):
    with pytest.raises(ConfigError):
        options(**change)


# Checkpoints


def test_a_checkpoint_is_the_block_with_its_hash():
    assert check_checkpoint(ROOT, 1, ROOT.header.hash, options()) == trusted(ROOT)


@pytest.mark.parametrize(("height", "block_hash"), [(1, ZERO_HASH), (2, ROOT.header.hash)])
def test_another_block_is_no_checkpoint(height, block_hash):
    with pytest.raises(InvalidLightBlock, match="checkpoint"):
        check_checkpoint(ROOT, height, block_hash, options())


def test_a_checkpoint_brings_its_own_validators():
    forged = dataclasses.replace(ROOT, next_validators=members("x", "y"))
    with pytest.raises(InvalidLightBlock):
        check_checkpoint(forged, 1, ROOT.header.hash, options())


# Witnesses


def test_a_witness_that_agrees():
    check_witness(ROOT, ROOT)


def test_a_witness_with_another_block_of_the_height():
    with pytest.raises(Divergence, match="two blocks of height 9"):
        check_witness(later(ABC), later(ABC, salt=b"other"))


# Bisection


def walk(blocks, *, target=None, now=NOW, bisection=None):
    """Answer every question from a list of blocks 1…n; return the bisection and what it asked for."""
    by_height = {block.height: block for block in blocks}
    bisection = bisection or Bisection(trusted(by_height[1]), target or max(by_height), options())
    asked = []
    while (height := bisection.wanted) is not None:
        asked.append(height)
        bisection.supply(by_height[height], now)
    return bisection, asked


def test_the_same_validators_need_one_step():
    bisection, asked = walk(chain([ABC] * 17))
    assert asked == [17]
    assert bisection.verified.height == 17


def test_a_change_of_all_validators_is_found_by_halving():
    bisection, asked = walk(chain([ABC] * 5 + [members("x", "y", "z")] * 4))
    assert asked == [9, 5]
    assert bisection.trusted.height == 9


def test_changes_at_every_height_need_every_block():
    _, asked = walk(chain([members(*range(3 * n, 3 * n + 3)) for n in range(8)]))
    assert sorted(set(asked)) == list(range(2, 9))
    assert len(asked) == len(set(asked)), "nothing is asked for twice"


@given(st.lists(st.integers(0, 3), min_size=2, max_size=20))
def test_every_honest_chain_is_proven_to_its_end(picks):
    sets = [members(*range(pick, pick + 3)) for pick in picks]
    blocks = chain(sets)
    bisection, asked = walk(blocks)
    assert bisection.trusted == trusted(blocks[-1])
    assert len(asked) <= len(blocks)


def test_a_wrong_block_leaves_the_bisection_where_it_was():
    blocks = chain([ABC] * 9)
    bisection = Bisection(trusted(blocks[0]), 9, options())
    with pytest.raises(InvalidLightBlock):
        bisection.supply(resigned(blocks[8], chain_id=19), NOW)
    with pytest.raises(InvalidLightBlock, match="supplied for 9"):
        bisection.supply(blocks[7], NOW)
    assert walk(blocks, bisection=bisection)[0].trusted.height == 9


def test_a_forged_target_is_found_out_when_trust_arrives_below_it():
    """Without signatures of ours it waits; from its parent it is proven wrong, and its place is asked for again."""
    blocks = chain([ABC] * 4 + [members("x", "y", "z")] * 5)
    forged = light_block(9, 95, members("l", "m"))
    bisection = Bisection(trusted(blocks[0]), 9, options())
    bisection.supply(forged, NOW)
    answers = {block.height: block for block in blocks[:8]}
    with pytest.raises(InvalidLightBlock):
        while True:
            bisection.supply(answers[bisection.wanted], NOW)
    assert bisection.wanted == 9
    assert walk(blocks, bisection=bisection)[0].trusted == trusted(blocks[8])


def test_trust_can_expire_on_the_way():
    blocks = chain([members(*range(3 * n, 3 * n + 3)) for n in range(8)])
    bisection = Bisection(trusted(blocks[0]), 8, options())
    bisection.supply(blocks[7], NOW)
    with pytest.raises(TrustExpired, match="newer checkpoint"):
        bisection.supply(blocks[bisection.wanted - 1], blocks[0].header.timestamp + PERIOD)


def test_a_bisection_leads_upwards():
    with pytest.raises(InvariantViolation):
        Bisection(trusted(ROOT), 1, options())


# Encoding


def test_a_light_block_round_trips():
    raw = rlp.encode(ROOT.to_item())
    assert decode_light_block(raw) == ROOT


def test_a_light_block_is_bounded_before_it_is_decoded():
    with pytest.raises(DecodingError, match="are allowed"):
        decode_light_block(bytes(MAX_LIGHT_BLOCK_BYTES + 1))


@given(st.binary(max_size=200))
def test_anything_else_is_refused(raw):
    with pytest.raises(DecodingError):
        decode_light_block(raw)
