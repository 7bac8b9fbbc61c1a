"""Fee advice: constant, whatever the blocks are like."""

import pytest

from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.methods import Profile
from tests.fakes.rpc import FakeChain, FakeNode

TWO_GWEI = hex(2 * 10**9)


@pytest.mark.asyncio
async def test_wallets_are_advised_zero_and_the_paid_profile_two_gwei():
    node = FakeNode()
    assert await node.result("eth_gasPrice") == "0x0"
    assert await node.result("eth_gasPrice", profile=Profile.PAID) == TWO_GWEI


@pytest.mark.asyncio
async def test_the_tip_is_the_paid_lanes_price_under_both_profiles():
    node = FakeNode()
    for profile in Profile:
        assert await node.result("eth_maxPriorityFeePerGas", profile=profile) == TWO_GWEI


@pytest.mark.asyncio
async def test_base_fees_are_constant():
    node = FakeNode()
    assert await node.result("eth_baseFee") == "0x0"
    assert await node.result("eth_blobBaseFee") == "0x1"


@pytest.mark.asyncio
async def test_the_history_repeats_the_advice_for_empty_blocks_too():
    history = await FakeNode().result("eth_feeHistory", "0x3", "latest", [10, 50.5, 100])
    assert history["oldestBlock"] == "0x3"
    assert history["baseFeePerGas"] == ["0x0"] * 4
    assert history["baseFeePerBlobGas"] == ["0x1"] * 4
    assert history["blobGasUsedRatio"] == [0.0] * 3
    assert history["reward"] == [[TWO_GWEI] * 3] * 3
    assert history["gasUsedRatio"] == [0.0, 81_000 / 200_000_000, 21_000 / 200_000_000]


@pytest.mark.asyncio
@pytest.mark.parametrize("percentiles", [None, []])
async def test_rewards_are_only_given_where_percentiles_are(percentiles):
    assert "reward" not in await FakeNode().result("eth_feeHistory", "0x2", "latest", percentiles)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("count", "newest", "oldest", "blocks"),
    [
        ("0x400", "latest", "0x0", 6),
        (2, "0x2", "0x1", 2),
        ("0x1", "earliest", "0x0", 1),
        ("0x1", "pending", "0x5", 1),
        ("0xffffffffffffffff", "finalized", "0x0", 6),
    ],
)
async def test_the_range_ends_at_the_named_block_and_starts_at_genesis(count, newest, oldest, blocks):
    history = await FakeNode().result("eth_feeHistory", count, newest, [50])
    assert (history["oldestBlock"], len(history["gasUsedRatio"])) == (oldest, blocks)
    assert len(history["baseFeePerGas"]) == blocks + 1


@pytest.mark.asyncio
async def test_a_long_history_is_complete():
    chain = FakeChain()
    for _ in range(200):
        chain.add()
    history = await FakeNode(chain=chain).result("eth_feeHistory", "0xc8", "latest", [50])
    assert (len(history["gasUsedRatio"]), len(history["reward"])) == (200, 200)


@pytest.mark.asyncio
async def test_no_blocks_are_no_history():
    history = await FakeNode().result("eth_feeHistory", "0x0", "latest", [])
    assert history == {"oldestBlock": "0x0", "baseFeePerGas": [], "gasUsedRatio": []}


@pytest.mark.asyncio
async def test_the_number_of_blocks_is_cut_to_the_limit():
    node = FakeNode(limits=RpcLimits(fee_history_max_blocks=2))
    assert (await node.result("eth_feeHistory", "0x5", "latest", []))["oldestBlock"] == "0x4"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("params", "code"),
    [
        (["0x1", "0x64", []], -32000),
        (["0x1", "latest", [101]], -32602),
        (["0x1", "latest", [-1]], -32602),
        (["0x1", "latest", [50, 40]], -32602),
        (["0x1", "latest", ["50"]], -32602),
        (["0x1", "latest", [True]], -32602),
        (["0x1", "latest", 50], -32602),
        (["0x1", "latest", [1] * 101], -32602),
        ([1.5, "latest", []], -32602),
        (["0x1"], -32602),
    ],
)
async def test_wrong_questions_are_refused(params, code):
    assert (await FakeNode().error("eth_feeHistory", *params))["code"] == code
