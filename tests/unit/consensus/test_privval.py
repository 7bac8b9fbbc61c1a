"""The signer never signs two messages for one place in the protocol."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from cybermiles.consensus.privval import FileSigner, SigningRefused, Step, create_state, load_state
from cybermiles.consensus.validator_key import generate_key
from cybermiles.crypto import ed25519
from cybermiles.errors import ConfigError, InvariantViolation, StorageError
from cybermiles.runtime.directory import OsDirectory
from tests.fakes.consensus import fake_key, fake_sign
from tests.fakes.disk import Crash, Disk, Inline

CHAIN_ID = 181818
GENESIS = bytes(range(32))
NAME = "state.json"


def open_signer(directory, *, key=None, chain_id=CHAIN_ID, genesis=GENESIS, sign_with=fake_sign):
    return FileSigner(
        key or fake_key(1),
        directory=directory,
        state_name=NAME,
        chain_id=chain_id,
        genesis_hash=genesis,
        worker=Inline(),
        sign_with=sign_with,
    )


def sign(signer, *request):
    return asyncio.run(signer.sign(*request))


@pytest.fixture
def directory():
    made = Disk().directory("keys")
    create_state(made, NAME, CHAIN_ID, GENESIS)
    return made


def test_a_signature_verifies_and_survives_a_restart_on_a_real_disk(tmp_path):
    files, key = OsDirectory(tmp_path), generate_key()
    create_state(files, NAME, CHAIN_ID, GENESIS)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    signer = open_signer(files, key=key, sign_with=ed25519.sign)
    signature = sign(signer, 5, 0, Step.PREVOTE, b"vote")
    assert ed25519.verify(signer.public_key, b"vote", signature)
    signer.close()
    again = OsDirectory(tmp_path)
    reopened = open_signer(again, key=key, sign_with=ed25519.sign)
    assert reopened.last_signed == (5, 0, Step.PREVOTE)
    assert sign(reopened, 5, 0, Step.PREVOTE, b"vote") == signature
    reopened.close()
    again.close()
    files.close()


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
def test_only_a_later_place_is_signed_with_other_bytes(directory, height, round_, step, allowed):
    signer = open_signer(directory)
    sign(signer, 5, 2, Step.PREVOTE, b"first")
    if allowed:
        sign(signer, height, round_, step, b"second")
        assert signer.last_signed == (height, round_, step)
    else:
        with pytest.raises(SigningRefused, match="refusing to sign"):
            sign(signer, height, round_, step, b"second")
        assert signer.last_signed == (5, 2, Step.PREVOTE)


def test_the_same_bytes_at_an_earlier_place_are_refused_too(directory):
    signer = open_signer(directory)
    sign(signer, 5, 2, Step.PREVOTE, b"same")
    with pytest.raises(InvariantViolation):
        sign(signer, 5, 1, Step.PREVOTE, b"same")


def test_the_state_survives_a_loss_of_power_before_the_signature_is_returned(directory):
    signer = open_signer(directory)
    signature = sign(signer, 9, 1, Step.PRECOMMIT, b"bytes")
    directory.disk.lose_power()
    state = load_state(directory, NAME, CHAIN_ID, GENESIS)
    assert state.position == (9, 1, Step.PRECOMMIT)
    assert (state.sign_bytes, state.signature) == (b"bytes".hex(), signature.hex())


def test_a_disk_that_fails_gives_no_signature_and_forgets_nothing(directory):
    signer = open_signer(directory)
    sign(signer, 1, 0, Step.PREVOTE, b"first")

    def fail(operation):
        if operation.kind == "sync":
            raise OSError(5, "Input/output error")

    directory.disk.before = fail
    with pytest.raises(StorageError, match="signer state state.json cannot be written"):
        sign(signer, 1, 0, Step.PRECOMMIT, b"second")
    assert signer.last_signed == (1, 0, Step.PREVOTE)


def test_a_key_without_its_state_is_refused(directory):
    directory.remove(NAME)
    with pytest.raises(ConfigError, match="its signer state state.json does not"):
        open_signer(directory)
    assert not directory.locks


def test_the_state_of_another_chain_is_refused(directory):
    with pytest.raises(ConfigError, match="belongs to chain"):
        open_signer(directory, chain_id=18)
    with pytest.raises(ConfigError, match="belongs to chain"):
        open_signer(directory, genesis=bytes(32))
    open_signer(directory).close()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "damaged"), (b"[]", "not a JSON object"), (b'{"what": 1}', "not a signer state"), (b"\xff", "damaged")],
)
def test_a_damaged_state_is_refused(directory, content, message):
    directory.replace(NAME, content)
    with pytest.raises(ConfigError, match=message):
        open_signer(directory)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chain_id", "181818"),
        ("genesis_hash", None),
        ("height", "7"),
        ("height", 7.0),
        ("height", True),
        ("height", -1),
        ("round", None),
        ("step", 4),
        ("sign_bytes", "zz"),
        ("signature", 5),
    ],
)
def test_a_state_edited_by_hand_is_refused_at_the_start_and_not_at_the_first_signature(directory, field, value):
    document = json.loads(directory.read(NAME)) | {field: value}
    directory.replace(NAME, json.dumps(document).encode())
    with pytest.raises(ConfigError, match=f"{NAME} is damaged.*{field}"):
        open_signer(directory)


def test_one_key_signs_in_one_place_only(directory):
    signer = open_signer(directory)
    with pytest.raises(ConfigError, match="another process signs"):
        open_signer(directory)
    signer.close()
    open_signer(directory).close()


def test_a_real_lock_is_held_by_one_process(tmp_path):
    create_state(OsDirectory(tmp_path), NAME, CHAIN_ID, GENESIS)
    signer = open_signer(OsDirectory(tmp_path))
    with pytest.raises(ConfigError, match="another process signs"):
        open_signer(OsDirectory(tmp_path))
    signer.close()
    open_signer(OsDirectory(tmp_path)).close()


def test_a_state_is_never_overwritten(directory):
    with pytest.raises(ConfigError, match="exists"):
        create_state(directory, NAME, CHAIN_ID, GENESIS)
    assert json.loads(directory.read(NAME))["height"] == 0


def test_no_two_different_messages_are_signed_for_one_place_whatever_is_asked_and_whenever_it_stops():
    """100,000 requests that repeat, go back and contradict each other, with crashes between any two operations."""
    choices = random.Random(20261127)
    disk = Disk()
    directory = disk.directory("keys")
    create_state(directory, NAME, CHAIN_ID, GENESIS)
    signer = open_signer(directory)
    signed: dict[tuple[int, int, int], bytes] = {}
    crashes = refusals = 0
    height = 1

    async def ask() -> None:
        nonlocal signer, crashes, refusals, height
        for _ in range(100_000):
            height += choices.random() < 0.2
            place = (max(1, height - choices.choice((0, 0, 0, 1))), choices.randrange(3), choices.randrange(1, 4))
            message = b"%d" % choices.randrange(2)
            if choices.random() < 0.1:
                disk.crash_at = len(disk.operations) + choices.randrange(4)
                disk.half_done = choices.random() < 0.5
            try:
                signature = await signer.sign(place[0], place[1], Step(place[2]), message)
            except SigningRefused:
                refusals += 1
                disk.crash_at = None
                continue
            except Crash:
                crashes += 1
                (disk.lose_power if choices.random() < 0.5 else disk.crash)()
                signer = open_signer(directory)
                continue
            disk.crash_at = None
            assert signed.setdefault(place, message) == message
            assert signature == fake_sign(fake_key(1).private, message)
            if len(disk.operations) > 10_000:
                disk.operations.clear()

    asyncio.run(ask())
    assert crashes > 1_000
    assert refusals > 10_000
    assert len(signed) > 10_000
