"""The node's configuration: where each value came from, and plain values for every package.

    flag  >  CMT_SECTION__KEY in the environment  >  HOME/config.toml  >  network preset  >  default

A key nobody knows is an error that names the nearest one. Strangers' text becomes typed values here, through
pydantic, and nowhere below.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from cybermiles.consensus.core.timeouts import Timeouts
from cybermiles.errors import ConfigError
from cybermiles.mempool.limits import PoolLimits
from cybermiles.node.rpc_access import rpc_config
from cybermiles.node.sections import (
    ConsensusSection,
    LogSection,
    MetricsSection,
    NodeSection,
    P2PSection,
    RpcSection,
    Section,
    StateSyncSection,
    StorageSection,
    VerifySection,
)
from cybermiles.p2p.config import P2PConfig
from cybermiles.p2p.identity import Endpoint, PeerAddress, parse_node_id
from cybermiles.rpc.config import RpcConfig, RpcLimits
from cybermiles.rpc.verification.config import VerifyConfig, VerifyLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

ENVIRONMENT_PREFIX = "CMT_"
NETWORKS = ("devnet", "testnet", "mainnet")


S = TypeVar("S", bound=Section)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective value."""

    key: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Everything the composition root needs, validated."""

    home: Path
    node: NodeSection
    consensus: ConsensusSection
    timeouts: Timeouts
    storage: StorageSection
    log: LogSection
    rpc: RpcConfig
    rpc_enabled: bool
    p2p: P2PConfig
    p2p_enabled: bool
    metrics_listen: Endpoint | None
    """None serves the metrics beside JSON-RPC only, to this machine."""
    verify: VerifyConfig | None
    """None serves no `/api`."""
    mempool: PoolLimits
    state_sync: StateSyncSection
    settings: tuple[Setting, ...]
    """Every key with its value and origin, for `cmt config show --origin`."""


_SECTIONS: dict[str, type[Section]] = {
    "node": NodeSection,
    "consensus": ConsensusSection,
    "storage": StorageSection,
    "log": LogSection,
    "rpc": RpcSection,
    "p2p": P2PSection,
    "metrics": MetricsSection,
    "verify": VerifySection,
    "state_sync": StateSyncSection,
}
_TIMEOUTS: dict[str, Any] = {f"timeout_{field.name}": field.default for field in fields(Timeouts)}
_P2P_LIMITS: dict[str, Any] = {
    field.name: field.default for field in fields(P2PConfig) if field.name not in P2PSection.model_fields
}
_TIMES = re.compile(r"(?<!_delta)_ms$|_per_second$")
"""Times and rates with which nothing would ever happen, or all at once and for ever, if they were 0."""
_ALL = re.compile("")
_RPC_LIMITS: dict[str, Any] = {field.name: field.default for field in fields(RpcLimits)}
_VERIFY_LIMITS: dict[str, Any] = {field.name: field.default for field in fields(VerifyLimits)}
_POOL_LIMITS: dict[str, Any] = {field.name: field.default for field in fields(PoolLimits)}
_PRESETS: dict[str, dict[str, Any]] = {
    "devnet": {
        "rpc.cors_origins": ("wallets", "http://localhost:*"),
        "rpc.namespaces": (*RpcConfig().namespaces, "ots"),
        "verify.enabled": True,
        "p2p.listen_host": "127.0.0.1",
        "p2p.allow_private_addresses": True,
    },
    "testnet": {},
    "mainnet": {},
}


def default_values() -> dict[str, Any]:
    """Return every configuration key with its default."""
    values: dict[str, Any] = {}
    for section, model in _SECTIONS.items():
        values |= {f"{section}.{name}": info.default for name, info in model.model_fields.items()}
    values |= {f"rpc.{name}": default for name, default in _RPC_LIMITS.items()}
    values |= {f"verify.{name}": default for name, default in _VERIFY_LIMITS.items()}
    values |= {f"mempool.{name}": default for name, default in _POOL_LIMITS.items()}
    values |= {f"consensus.{name}": default for name, default in _TIMEOUTS.items()}
    values |= {f"p2p.{name}": default for name, default in _P2P_LIMITS.items()}
    return values


def load_config(
    home: Path,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> NodeConfig:
    """Return the effective configuration. Raises ConfigError naming the wrong key or value and its origin."""
    defaults = default_values()
    environment = os.environ if environment is None else environment
    file_values = _read_toml(home / "config.toml", defaults)
    env_values = _read_environment(environment, defaults)
    flag_values = {key: value for key, value in (flags or {}).items() if value is not None}
    for key in flag_values:
        _check_key(key, defaults, "flag")
    network = "devnet"
    for source in (file_values, env_values, flag_values):
        network = source.get("node.network", network)
    preset = _PRESETS.get(str(network), {})
    values, origins = dict(defaults), dict.fromkeys(defaults, "default")
    layers = (
        (preset, f"network preset {network}"),
        (file_values, str(home / "config.toml")),
        (env_values, "environment"),
        (flag_values, "flag"),
    )
    for layer, origin in layers:
        for key, value in layer.items():
            values[key] = value
            origins[key] = f"environment {_variable(key)}" if origin == "environment" else origin
    return _build(home, values, origins)


def _build(home: Path, values: dict[str, Any], origins: dict[str, str]) -> NodeConfig:
    node = _validate("node", NodeSection, values, origins)
    consensus = _validate("consensus", ConsensusSection, values, origins)
    storage = _validate("storage", StorageSection, values, origins)
    log = _validate("log", LogSection, values, origins)
    rpc = _validate("rpc", RpcSection, values, origins)
    p2p = _validate("p2p", P2PSection, values, origins)
    metrics = _validate("metrics", MetricsSection, values, origins)
    verify = _validate("verify", VerifySection, values, origins)
    state_sync = _validate("state_sync", StateSyncSection, values, origins)
    verify_limits = _integers("verify", _VERIFY_LIMITS, values, origins, positive=_ALL)
    rpc_limits = _integers("rpc", _RPC_LIMITS, values, origins)
    pool_limits = _integers("mempool", _POOL_LIMITS, values, origins)
    timeouts = _integers("consensus", _TIMEOUTS, values, origins, positive=_TIMES)
    p2p_limits = _integers("p2p", _P2P_LIMITS, values, origins, positive=_TIMES)
    tables: list[tuple[str, Iterable[tuple[str, Any]]]] = [
        ("node", node),
        ("consensus", consensus),
        ("storage", storage),
        ("log", log),
        ("rpc", rpc),
        ("rpc", rpc_limits.items()),
        ("mempool", pool_limits.items()),
        ("consensus", timeouts.items()),
        ("p2p", p2p),
        ("p2p", p2p_limits.items()),
        ("metrics", metrics),
        ("verify", verify),
        ("verify", verify_limits.items()),
        ("state_sync", state_sync),
    ]
    effective = {f"{section}.{name}": value for section, table in tables for name, value in table}
    return NodeConfig(
        home=home,
        node=node,
        consensus=consensus,
        timeouts=Timeouts(**{name.removeprefix("timeout_"): value for name, value in timeouts.items()}),
        storage=storage,
        log=log,
        rpc=rpc_config(
            rpc.model_dump(exclude={"enabled"}),
            RpcLimits(**rpc_limits),
            home=home,
            network=node.network,
            vhosts_are_chosen=origins["rpc.vhosts"] != "default",
        ),
        rpc_enabled=rpc.enabled,
        p2p=_p2p_config(p2p, p2p_limits, origins),
        p2p_enabled=p2p.enabled,
        metrics_listen=_parsed("metrics.listen", Endpoint.parse, metrics.listen, origins) if metrics.listen else None,
        verify=VerifyConfig(solc=verify.solc, limits=VerifyLimits(**verify_limits)) if verify.enabled else None,
        mempool=PoolLimits(**pool_limits),
        state_sync=state_sync,
        settings=tuple(Setting(key, effective[key], origins[key]) for key in sorted(effective)),
    )


def _p2p_config(section: P2PSection, limits: dict[str, int], origins: dict[str, str]) -> P2PConfig:
    def peers(name: str, texts: tuple[str, ...]) -> tuple[PeerAddress, ...]:
        return tuple(_parsed(f"p2p.{name}", PeerAddress.parse, text, origins) for text in texts)

    external = section.external_address
    return P2PConfig(
        listen_host=section.listen_host,
        listen_port=section.listen_port,
        external_address=_parsed("p2p.external_address", Endpoint.parse, external, origins) if external else None,
        moniker=section.moniker,
        persistent_peers=peers("persistent_peers", section.persistent_peers),
        seeds=peers("seeds", section.seeds),
        private_ids=tuple(_parsed("p2p.private_ids", parse_node_id, text, origins) for text in section.private_ids),
        pex=section.pex,
        seed_mode=section.seed_mode,
        allow_private_addresses=section.allow_private_addresses,
        **limits,
    )


def _parsed(key: str, parse: Callable[[str], T], text: str, origins: dict[str, str]) -> T:
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{key} ({origins[key]}): {error}") from error


def _validate(section: str, model: type[S], values: dict[str, Any], origins: dict[str, str]) -> S:
    try:
        return model.model_validate({name: values[f"{section}.{name}"] for name in model.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        key = f"{section}.{first['loc'][0]}"
        raise ConfigError(f"{key} = {values[key]!r} ({origins[key]}): {first['msg']}") from error


def _integers(
    section: str,
    known: dict[str, int],
    values: dict[str, Any],
    origins: dict[str, str],
    *,
    positive: re.Pattern[str] | None = None,
) -> dict[str, int]:
    """Return the numbers of a section. Raises ConfigError for a negative one, and for 0 where `positive` matches."""
    result = {}
    for name in known:
        key = f"{section}.{name}"
        try:
            number = int(values[key])
        except (TypeError, ValueError):
            number = -1
        if number < 0 or isinstance(values[key], bool | float):
            raise ConfigError(f"{key} = {values[key]!r} ({origins[key]}): must be a non-negative integer")
        if number == 0 and positive is not None and positive.search(name):
            raise ConfigError(f"{key} = 0 ({origins[key]}): must be an integer over 0")
        result[name] = number
    return result


def _read_toml(path: Path, known: dict[str, Any]) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    values: dict[str, Any] = {}
    for section, table in document.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {section} stands outside a section such as [node]")
        for name, value in table.items():
            key = f"{section}.{name}"
            _check_key(key, known, str(path))
            values[key] = tuple(value) if isinstance(value, list) else value
    return values


def _read_environment(environment: Mapping[str, str], known: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or "__" not in variable:
            continue
        key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".", 1)
        _check_key(key, known, f"environment variable {variable}")
        is_list = isinstance(known[key], tuple)
        values[key] = tuple(part.strip() for part in text.split(",") if part.strip()) if is_list else text
    return values


def _variable(key: str) -> str:
    return ENVIRONMENT_PREFIX + key.replace(".", "__").upper()


def _check_key(key: str, known: Mapping[str, Any], origin: str) -> None:
    if key in known:
        return
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError(f"{origin}: unknown key {key}{hint}")
