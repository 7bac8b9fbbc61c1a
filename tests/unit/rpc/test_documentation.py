"""docs/rpc.md says what the code does: its methods, weights, fee advice, codes, limits and settings are compared with it."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest

from cybermiles.chain.params import ChainParams
from cybermiles.node.config import NodeSection, RpcSection
from cybermiles.rpc import jsonrpc
from cybermiles.rpc.absent_methods import ABSENT
from cybermiles.rpc.block_references import Tag
from cybermiles.rpc.config import RpcConfig, RpcLimits
from cybermiles.rpc.filters import PENDING_HASHES_KEPT
from cybermiles.rpc.methods import Profile
from cybermiles.rpc.namespaces.eth_calls import AUTHORIZATION_GAS
from cybermiles.rpc.subscriptions import Kind
from cybermiles.types.transaction_codec import MAX_TRANSACTION_BYTES
from tests.fakes.rpc import CONTRACT, SENDER, FakeNode, hexed

PAGE = (Path(__file__).parents[3] / "docs/rpc.md").read_text(encoding="utf-8")
NODE = FakeNode()
NAMESPACES = ("rpc", "erigon", *NODE.config.namespaces)
METHOD_NAME = re.compile(rf"\b(?:{'|'.join(NAMESPACES)})_[a-zA-Z]\w*")
NOTIFICATION = "eth_subscription"
"""The method of messages that the server sends; nobody can call it."""


def rows(*first_columns):
    """The cells of every table whose header starts with these columns."""
    found, header = [], f"| {' | '.join(first_columns)} |"
    lines = iter(PAGE.splitlines())
    for line in lines:
        if line.startswith(header):
            assert next(lines).count("---") == line.count("|") - 1
            for row in lines:
                if not row.startswith("|"):
                    break
                found.append([cell.strip() for cell in row[1:-1].split("|")])
    return found


def number(cell):
    return int(cell.replace(" ", ""))


def test_every_served_method_has_a_row_with_its_weight_and_no_other_method_is_named():
    served = {f"`{name}`": method.weight for name, method in NODE.dispatcher._methods.items()}
    documented = [(name, number(weight)) for name, weight, _ in rows("method", "weight")]
    assert sorted(documented) == sorted(served.items())
    assert set(METHOD_NAME.findall(PAGE)) - {NOTIFICATION, *ABSENT} == set(NODE.dispatcher.method_names)


def test_every_limit_is_in_the_table_with_its_default_and_no_other_is():
    documented = [(key.strip("`"), number(default)) for key, default, _ in rows("key", "default", "of")]
    assert documented == list(asdict(RpcLimits()).items())


def test_every_setting_is_in_the_table_with_its_default():
    documented = {key.strip("`"): default for key, default, _ in rows("key", "default", "meaning")}
    assert list(documented) == list(RpcSection.model_fields)
    config = RpcConfig()
    assert documented["host"] == f"`{config.host}`"
    assert documented["port"] == f"`{config.port}`"
    for name in ("vhosts", "namespaces"):
        assert documented[name] == ", ".join(f"`{entry}`" for entry in getattr(config, name))
    assert config.cors_origins == ()


def test_every_error_code_is_in_the_table_and_no_other_is():
    codes = {value for name, value in vars(jsonrpc).items() if name.isupper() and type(value) is int and name[0] != "_"}
    assert sorted(number(code.strip("`")) for code, _ in rows("code", "when")) == sorted(codes)


def test_every_block_tag_and_every_kind_of_subscription_is_in_its_table():
    tags = [tag for tags, _ in rows("tag", "block") for tag in re.findall(r"`(\w+)`", tags)]
    assert sorted(tags) == sorted(Tag)
    assert [kind.strip("`") for kind, _ in rows("kind", "event")] == list(Kind)


@pytest.mark.asyncio
async def test_the_fee_advice_is_what_the_table_says():
    params = ChainParams()
    meaning = {"0": 0, "0x0": 0, "min_gas_price": params.min_gas_price}
    table = {
        method: [[meaning[part.strip("`")] for part in cell.split(", ")] for cell in cells]
        for method, *cells in rows("method", "`/`", "`/paid`")
    }
    assert (params.min_gas_price, params.free_gas_limit) == (2 * 10**9, 500_000)

    async def advice(profile, gas=0):
        call = {"from": hexed(SENDER), "to": hexed(CONTRACT), "gas": hex(gas)}
        history = await NODE.result("eth_feeHistory", 1, "latest", [50], profile=profile)
        filled = (await NODE.result("eth_fillTransaction", call, profile=profile))["tx"]
        assert filled["maxFeePerGas"] == filled["maxPriorityFeePerGas"]
        return {
            "`eth_gasPrice`": [await NODE.result("eth_gasPrice", profile=profile)],
            "`eth_maxPriorityFeePerGas`": [await NODE.result("eth_maxPriorityFeePerGas", profile=profile)],
            "`eth_feeHistory`: base fees, rewards": [history["baseFeePerGas"][0], history["reward"][0][0]],
            "filled": [filled["maxFeePerGas"]],
        }

    for column, profile in enumerate((Profile.WALLET, Profile.PAID)):
        small = await advice(profile, params.free_gas_limit)
        large = await advice(profile, params.free_gas_limit + 1)
        small["`eth_fillTransaction` up to `free_gas_limit` gas"] = small.pop("filled")
        small["`eth_fillTransaction` above it"] = large["filled"]
        assert {method: cells[column] for method, cells in table.items()} == {
            method: [int(value, 16) for value in values] for method, values in small.items()
        }


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("a pending-transaction filter sees the newest {}", PENDING_HASHES_KEPT),
        ("{} gas is added for each EIP-7702 authorization", AUTHORIZATION_GAS),
        ("types 0, 1, 2 and 4; {} bytes at most", MAX_TRANSACTION_BYTES),
        ("`node.keep_states` blocks ({} by default)", NodeSection().keep_states),
    ],
)
def test_a_number_in_the_text_is_the_codes(sentence, value):
    assert sentence.format(f"{value:,}".replace(",", " ") if value > 9_999 else value) in " ".join(PAGE.split())
