"""The key's file and the bundle that moves a validator."""

from __future__ import annotations

import json

import pytest

from cybermiles.consensus.privval import create_state, load_state
from cybermiles.consensus.validator_key import export_bundle, generate_key, import_bundle, load_key, save_key
from cybermiles.errors import ConfigError
from cybermiles.runtime.directory import OsDirectory

CHAIN_ID, GENESIS = 181818, bytes(32)


@pytest.fixture
def files(tmp_path):
    save_key(tmp_path / "key.json", generate_key())
    create_state(OsDirectory(tmp_path), "state.json", CHAIN_ID, GENESIS)
    return tmp_path / "key.json", tmp_path / "state.json"


def test_a_key_file_is_private_and_never_overwritten(files):
    assert files[0].stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="exists"):
        save_key(files[0], generate_key())


def test_a_missing_or_damaged_key_file_is_refused_with_what_to_do(files, tmp_path):
    with pytest.raises(ConfigError, match="cmt init"):
        load_key(tmp_path / "none.json")
    document = json.loads(files[0].read_text())
    for content, message in (
        ("{", "damaged"),
        ("[]", "not a JSON object"),
        ("{}", "holds no validator key"),
        (json.dumps(document | {"public_key": "00" * 32}), "does not belong"),
        (json.dumps(document | {"private_key": "00"}), "does not belong"),
    ):
        files[0].write_text(content)
        with pytest.raises(ConfigError, match=message):
            load_key(files[0])


def test_key_and_state_travel_together(files, tmp_path):
    text = export_bundle(*files)
    new = tmp_path / "new"
    new.mkdir()
    key = import_bundle(text, new / "key.json", new / "state.json")
    assert load_key(new / "key.json") == key == load_key(files[0])
    assert load_state(OsDirectory(new), "state.json", CHAIN_ID, GENESIS).position == (0, 0, 0)
    with pytest.raises(ConfigError, match="never overwritten"):
        import_bundle(text, new / "key.json", new / "state.json")


def test_a_key_does_not_leave_without_its_state(files):
    files[1].unlink()
    with pytest.raises(ConfigError, match="must not leave without it"):
        export_bundle(*files)


@pytest.mark.parametrize("missing", ["key", "state"])
def test_half_a_bundle_writes_nothing(files, tmp_path, missing):
    document = json.loads(export_bundle(*files))
    del document[missing]
    with pytest.raises(ConfigError, match=f'no "{missing}"'):
        import_bundle(json.dumps(document), tmp_path / "k", tmp_path / "s")
    assert not (tmp_path / "k").exists()
    assert not (tmp_path / "s").exists()
