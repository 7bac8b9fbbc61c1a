"""Bugs of the light client, of snapshots and of state sync, for their unit tests."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

CLIENT = "cybermiles/sync/light_client.py"
RESTORE = "cybermiles/snapshots/restore.py"
TRIES = "cybermiles/snapshots/tries.py"
STATE = "cybermiles/sync/state_service.py"
CLIENT_TESTS = ("tests/unit/sync/test_light_client.py",)
SNAPSHOT_TESTS = ("tests/unit/snapshots/test_snapshots.py",)
STATE_TESTS = ("tests/unit/sync/test_state_service.py",)

MUTATIONS = (
    Mutation(
        "exactly a third of the trusted power is enough trust",
        CLIENT,
        "if power * denominator <= known.total_power * numerator:",
        "if power * denominator < known.total_power * numerator:",
        CLIENT_TESTS,
    ),
    Mutation(
        "overlap counts the power that members have now",
        CLIENT,
        "power += ours.power",
        "power += member.power",
        CLIENT_TESTS,
    ),
    Mutation(
        "trust lasts a second too long",
        CLIENT,
        "trusted.timestamp + options.trusting_period <= now",
        "trusted.timestamp + options.trusting_period < now",
        CLIENT_TESTS,
    ),
    Mutation(
        "a child's validators are not those that its parent names",
        CLIENT,
        "if block.validators != trusted.next_validators:",
        "if False:",
        CLIENT_TESTS,
    ),
    Mutation(
        "the light client believes consensus fields that no header commits to",
        CLIENT,
        "if digest.commitment != header.extra_data:",
        "if False:",
        CLIENT_TESTS,
    ),
    Mutation(
        "a restored state may have any root",
        TRIES,
        "if self._root != state_root:",
        "if False:",
        SNAPSHOT_TESTS,
    ),
    Mutation(
        "storage may be left out of a snapshot",
        TRIES,
        "if self._with_storage:",
        "if False:",
        SNAPSHOT_TESTS,
    ),
    Mutation(
        "evidence may be left out of a snapshot",
        RESTORE,
        "if keccak256(rlp.encode(list(proofs))) != facts.evidence:",
        "if False:",
        SNAPSHOT_TESTS,
    ),
    Mutation(
        "a rotation in a snapshot may be of anybody",
        RESTORE,
        ").validators != expected:",
        ").validators is None:",
        SNAPSHOT_TESTS,
    ),
    Mutation(
        "chunks are not compared with the manifest",
        STATE,
        "if keccak256(chunk) != manifest.chunks[index]:",
        "if False:",
        STATE_TESTS,
    ),
    Mutation(
        "two proven blocks of one height are no reason to stop",
        STATE,
        "if await self._is_proven_by(peer, trusted, height):",
        "if False:",
        STATE_TESTS,
    ),
)
