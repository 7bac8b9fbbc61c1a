"""Settings of JSON-RPC that are dangerous together: a node that opens itself to strangers must say so.

An address that others reach needs the names that the node goes by, so that no web page reaches it under another name.
Private namespaces over TCP need a token, except on a devnet that only its own machine reaches: its keys are public.
"""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cybermiles.errors import ConfigError
from cybermiles.rpc.access import is_open, parse_method_rates
from cybermiles.rpc.callers import parse_proxies
from cybermiles.rpc.config import PRIVATE_NAMESPACES, RpcConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cybermiles.rpc.config import RpcLimits

IPC_NAME = "cmt.ipc"
"""The Unix socket in the home directory."""
MIN_TOKEN_LENGTH = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def rpc_config(
    settings: Mapping[str, Any], limits: RpcLimits, *, home: Path, network: str, vhosts_are_chosen: bool
) -> RpcConfig:
    """Return the configuration of the `[rpc]` settings. Raises ConfigError that names the key at fault."""
    named = dict(settings)
    token_file, ipc = named.pop("token_file"), named.pop("ipc")
    config = RpcConfig(**named, limits=limits)
    parse_method_rates(config.method_rates)
    parse_proxies(config.trusted_proxies)
    others_reach_it = is_open(config.host)
    if others_reach_it and not vhosts_are_chosen:
        raise ConfigError(
            f"rpc.host = {config.host} lets other machines in: list the names and addresses that this node is "
            "reached by in rpc.vhosts, so that no web page reaches it under another name"
        )
    token = _load_token(home / token_file) if token_file else ""
    private = [name for name in PRIVATE_NAMESPACES if name in (*config.namespaces, *config.websocket_namespaces)]
    if private and not token and (others_reach_it or network != "devnet"):
        raise ConfigError(
            f"rpc.namespaces or rpc.websocket_namespaces names {private[0]}, which is not for strangers: leave it out "
            f"and use HOME/{IPC_NAME}, or set rpc.token_file"
        )
    return replace(config, token=token, ipc_path=home / IPC_NAME if ipc else None)


def _load_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"rpc.token_file: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"rpc.token_file: {path}: a token is ASCII text") from error
    if len(token) < MIN_TOKEN_LENGTH or not token.isprintable() or " " in token:
        raise ConfigError(
            f"rpc.token_file: {path}: a token is one word of at least {MIN_TOKEN_LENGTH} characters, for example the "
            "output of `openssl rand -hex 32`"
        )
    if mode & _OTHERS:
        raise ConfigError(f"rpc.token_file: {path} can be read by others: chmod 600 {path}")
    return token
