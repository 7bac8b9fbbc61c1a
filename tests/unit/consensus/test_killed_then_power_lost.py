"""A killed process leaves what only the kernel has; what the next one builds on it is durable. Found by the simulation."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.consensus.privval import FileSigner, Step, create_state
from cybermiles.consensus.records import Record, RecordType
from cybermiles.consensus.wal import WriteAheadLog, read_log
from tests.fakes.consensus import fake_key, fake_sign
from tests.fakes.disk import Crash, Disk, Inline

GENESIS = bytes(32)
PLACE = (5, 1, Step.PRECOMMIT)


def open_signer(directory):
    return FileSigner(
        fake_key(1),
        directory=directory,
        state_name="state.json",
        chain_id=1,
        genesis_hash=GENESIS,
        worker=Inline(),
        sign_with=fake_sign,
    )


def test_a_signature_given_out_again_after_a_kill_survives_a_loss_of_power():
    disk = Disk()
    directory = disk.directory("keys")
    create_state(directory, "state.json", 1, GENESIS)
    signer = open_signer(directory)
    disk.crash_at = len(disk.operations) + 3  # written, synced, renamed; the rename is not synced
    with pytest.raises(Crash):
        asyncio.run(signer.sign(*PLACE, b"vote"))
    disk.crash()
    asyncio.run(open_signer(directory).sign(*PLACE, b"vote"))  # published now
    disk.lose_power()
    assert open_signer(directory).last_signed == PLACE


def test_a_log_that_was_replayed_after_a_kill_survives_a_loss_of_power():
    disk = Disk()
    directory = disk.directory("log")
    wal = WriteAheadLog(directory, Inline(), 7, exists=False)
    wal.append(Record(RecordType.START, b"start"))
    disk.crash_at = len(disk.operations) + 1  # written, not synced
    with pytest.raises(Crash):
        asyncio.run(wal.flush())
    disk.crash()
    replayed = read_log(directory, 7)
    assert replayed
    disk.lose_power()
    assert read_log(directory, 7) == replayed
