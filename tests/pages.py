"""The pages of docs/ that are made from code: `python -m tests.pages` writes them, tests compare them.

settings.md has every configuration key, metrics.md every metric, rpc-methods.md every method of JSON-RPC, each with the words that stand beside
it in the code.
"""

from __future__ import annotations

import json
from pathlib import Path

from cybermiles.consensus.core.timeouts import Timeouts
from cybermiles.mempool.limits import PoolLimits
from cybermiles.node import config
from cybermiles.node.metrics import create_metrics
from cybermiles.p2p.config import P2PConfig
from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.openrpc.document import describe
from cybermiles.rpc.verification.config import VerifyLimits
from cybermiles.runtime.metrics import field_docstrings
from tests.fakes.rpc import FakeNode

DOCS = Path(__file__).parents[1] / "docs"
GROUPS = (
    ("rpc", RpcLimits, ""),
    ("mempool", PoolLimits, ""),
    ("p2p", P2PConfig, ""),
    ("consensus", Timeouts, "timeout_"),
    ("verify", VerifyLimits, ""),
)
"""Section, plain dataclass whose fields are keys of it, and what stands before their names."""

SETTINGS = """\
# Settings

A flag wins over `CMT_SECTION__KEY` in the environment, that over `config.toml`, that over the network's preset, that over the default; lists are
TOML arrays, and comma-separated in the environment. `cmt config show --origin` says what counts and why. This page is made from the code.

{presets}

`consensus.timeout_…` are local: nodes of one network may differ, and a slow network wants longer ones everywhere. The least time between blocks is
a chain parameter; `consensus.block_interval_ms` replaces it for this node alone. Nodes follow whoever starts a height, so leave it at 0 on a
network of others.
"""
METHODS = """\
# JSON-RPC methods

All of them with what they take and answer, in the words of the code. `?` marks what may be left out; what is special here, limits and
errors are in [rpc.md](rpc.md). `rpc_discover` answers the same as an OpenRPC document, with every schema. This page is made from the code.
"""
METRICS = """\
# Metrics

`GET /metrics`, in Prometheus' text format, from the JSON-RPC listener for this machine or from `metrics.listen` ([settings.md](settings.md)).
Names are CometBFT's with `cmt` as namespace where it has the metric, so its dashboards and alerts carry over; counters end in `_total`, as
Prometheus wants it. `process_…` come from the system. This page is made from the code.

What to alert on: `cmt_consensus_latest_block_height` that stands still, `cmt_consensus_rounds` above 2, `cmt_consensus_missing_validators_power`
above a third of `cmt_consensus_validators_power`, any growth of `cmt_consensus_validator_missed_blocks_total` on a validator, any of
`cmt_consensus_committed_evidence_total`, `cmt_p2p_peers` below what you configured, `cmt_blocksync_syncing` that stays 1.

| name | kind | labels | meaning |
| --- | --- | --- | --- |
"""


def settings_page():
    """Sections in order of their names, keys as they are defined: a meaning may refer to the key above."""
    text, section = SETTINGS.format(presets=_presets()), None
    defaults, meanings = config.default_values(), _meanings()
    for key in sorted(defaults, key=lambda key: key.partition(".")[0]):
        if key.partition(".")[0] != section:
            section = key.partition(".")[0]
            text += f"\n## {section}\n\n| key | default | meaning |\n| --- | --- | --- |\n"
        text += _row(f"`{key}`", f"`{json.dumps(defaults[key])}`", meanings[key])
    return text


def metrics_page():
    """Every metric in the order in which a node creates them."""
    rows = create_metrics().registry.rows
    return METRICS + "".join(
        _row(f"`{row.name}`", row.kind, ", ".join(f"`{label}`" for label in row.labels), row.help) for row in rows
    )


def methods_page():
    """Every method of every namespace, from the document that `rpc_discover` answers."""
    text, namespace = METHODS, None
    for method in describe(FakeNode().dispatcher._methods.values())["methods"]:
        if method["tags"][0]["name"] != namespace:
            namespace = method["tags"][0]["name"]
            text += f"\n## {namespace}\n\n| method | arguments | result |\n| --- | --- | --- |\n"
        arguments = ", ".join(
            f"{param['name']}{'' if param['required'] else '?'}: {_kind(param['schema'])}" for param in method["params"]
        )
        text += _row(f"`{method['name']}`", arguments, f"{_kind(method['result']['schema'])}. {method['summary']}")
    return text


def _kind(schema):
    """Return a schema in a word or two."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if "items" in schema else "list"
    if "properties" in schema:
        return f"{{{', '.join(schema['properties'])}}}"
    return "false" if schema.get("const") is False else schema.get("type", "any")


def _presets():
    lines = []
    for name, preset in config._PRESETS.items():
        values = ", ".join(f"`{key}` = `{json.dumps(value)}`" for key, value in preset.items())
        lines.append(f"* preset `{name}`: {values or 'nothing'}")
    return "\n".join(lines)


def _meanings():
    """Return every key with its meaning, "" where its name says it all."""
    found = {}
    for section, model in config._SECTIONS.items():
        found |= {f"{section}.{name}": field.description for name, field in model.model_fields.items()}
    for section, group, prefix in GROUPS:
        helps = field_docstrings(group)
        for name in group.__dataclass_fields__:
            found.setdefault(f"{section}.{prefix}{name}", helps.get(name, ""))
    return found


def _row(*cells):
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|\n"


PAGES = {"settings.md": settings_page, "metrics.md": metrics_page, "rpc-methods.md": methods_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
