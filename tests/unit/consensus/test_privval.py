"""The signer never signs two messages for one place in the protocol."""

from __future__ import annotations

import json

import pytest

from cybermiles.consensus.privval import (
    FileSigner,
    Step,
    create_state,
    generate_key,
    load_key,
    save_key,
)
from cybermiles.crypto import ed25519
from cybermiles.errors import ConfigError, InvariantViolation

CHAIN_ID = 181818
GENESIS = bytes(range(32))


@pytest.fixture
def files(tmp_path):
    key, state = tmp_path / "validator.json", tmp_path / "validator_state.json"
    save_key(key, generate_key())
    create_state(state, CHAIN_ID, GENESIS)
    return key, state


def open_signer(files, chain_id=CHAIN_ID, genesis=GENESIS):
    return FileSigner(*files, chain_id, genesis)


def test_a_signature_verifies_and_survives_a_restart(files):
    signer = open_signer(files)
    signature = signer.sign(5, 0, Step.PREVOTE, b"vote")
    assert ed25519.verify(signer.public_key, b"vote", signature)
    signer.close()
    reopened = open_signer(files)
    assert reopened.last_signed == (5, 0, Step.PREVOTE)
    assert reopened.sign(5, 0, Step.PREVOTE, b"vote") == signature
    reopened.close()


@pytest.mark.parametrize(
    ("height", "round_", "step", "allowed"),
    [
        (5, 2, Step.PREVOTE, False),
        (5, 2, Step.PROPOSE, False),
        (5, 1, Step.PRECOMMIT, False),
        (4, 9, Step.PRECOMMIT, False),
        (5, 2, Step.PRECOMMIT, True),
        (5, 3, Step.PROPOSE, True),
        (6, 0, Step.PROPOSE, True),
    ],
)
def test_only_a_later_place_is_signed_with_other_bytes(files, height, round_, step, allowed):
    signer = open_signer(files)
    signer.sign(5, 2, Step.PREVOTE, b"first")
    if allowed:
        signer.sign(height, round_, step, b"second")
    else:
        with pytest.raises(InvariantViolation, match="refusing to sign"):
            signer.sign(height, round_, step, b"second")
        assert signer.last_signed == (5, 2, Step.PREVOTE)
    signer.close()


def test_the_state_is_on_disk_before_the_signature_is_returned(files):
    signer = open_signer(files)
    signer.sign(9, 1, Step.PRECOMMIT, b"bytes")
    stored = json.loads(files[1].read_text())
    assert (stored["height"], stored["round"], stored["step"]) == (9, 1, 3)
    assert stored["sign_bytes"] == b"bytes".hex()
    signer.close()


def test_a_key_without_its_state_is_refused(files):
    files[1].unlink()
    with pytest.raises(ConfigError, match="signer state"):
        open_signer(files)


def test_the_state_of_another_chain_is_refused(files):
    with pytest.raises(ConfigError, match="belongs to chain"):
        open_signer(files, chain_id=18)
    with pytest.raises(ConfigError, match="belongs to chain"):
        open_signer(files, genesis=bytes(32))


def test_one_key_signs_in_one_place_only(files):
    signer = open_signer(files)
    with pytest.raises(ConfigError, match="another process signs"):
        open_signer(files)
    signer.close()
    open_signer(files).close()


def test_key_files_are_private_and_never_overwritten(files):
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert files[1].stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="exists"):
        save_key(files[0], generate_key())
    with pytest.raises(ConfigError, match="exists"):
        create_state(files[1], CHAIN_ID, GENESIS)


def test_a_damaged_key_file_is_refused(files):
    document = json.loads(files[0].read_text())
    document["public_key"] = "00" * 32
    files[0].write_text(json.dumps(document))
    with pytest.raises(ConfigError, match="does not belong"):
        load_key(files[0])
    files[0].write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        load_key(files[0])
