"""The node key's file: JSON, readable by its owner only, written so that a crash cannot leave half of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError
from cybermiles.p2p.identity import NodeKey
from cybermiles.runtime.files import write_durably

if TYPE_CHECKING:
    from pathlib import Path


def save_node_key(path: Path, key: NodeKey) -> None:
    """Write a key file with mode 0600. Raises ConfigError where one exists."""
    if path.exists():
        raise ConfigError(f"{path} exists; move it away before generating another node key")
    document = {"id": key.id, "public_key": key.public.hex(), "private_key": key.private.hex()}
    write_durably(path, json.dumps(document, indent=1).encode())


def load_node_key(path: Path) -> NodeKey:
    """Read a key file. Raises ConfigError saying what to do where it is missing or damaged."""
    try:
        document = json.loads(path.read_bytes())
        key = NodeKey.from_private(bytes.fromhex(document["private_key"]))
        expected = document["id"]
    except FileNotFoundError as error:
        raise ConfigError(f"no node key at {path}; create one with `cmt init`") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is not a node key file ({error}); restore it or move it away") from error
    if key.id != expected:
        raise ConfigError(f"{path}: the id does not belong to the private key; restore the file from a backup")
    return key
