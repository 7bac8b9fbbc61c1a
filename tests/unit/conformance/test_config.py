"""The fork id of known chains, and what `eth_config` says of the mined one."""

from __future__ import annotations

import pytest

from cybermiles.conformance.config import fork_id
from cybermiles.conformance.forks import read_schedule
from tests.fakes.foreign import SECONDS

MAINNET = {
    "chainId": 1, "homesteadBlock": 1_150_000, "daoForkBlock": 1_920_000, "daoForkSupport": True,
    "eip150Block": 2_463_000, "eip155Block": 2_675_000, "eip158Block": 2_675_000, "byzantiumBlock": 4_370_000,
    "constantinopleBlock": 7_280_000, "petersburgBlock": 7_280_000, "istanbulBlock": 9_069_000,
    "muirGlacierBlock": 9_200_000, "berlinBlock": 12_244_000, "londonBlock": 12_965_000,
    "arrowGlacierBlock": 13_773_000, "grayGlacierBlock": 15_050_000, "shanghaiTime": 1_681_338_455,
    "cancunTime": 1_710_338_135, "pragueTime": 1_746_612_311,
}  # fmt: skip
GENESIS = bytes.fromhex("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3")


@pytest.mark.parametrize(
    ("time", "expected"),
    [(0, "0xf0afd0e3"), (1_681_338_455, "0xdce96c2d"), (1_710_338_135, "0x9f3d2254"), (1_746_612_311, "0xc376cf8b")],
    ids=["gray glacier", "shanghai", "cancun", "prague"],
)
def test_the_fork_ids_of_mainnet_are_the_known_ones(time, expected):
    """EIP-2124's and EIP-6122's checksums, as every client's tests have them."""
    assert fork_id(read_schedule(MAINNET), GENESIS, 0, time) == expected


def test_the_config_names_what_is_in_force(ask):
    config, _ = ask("eth_config")
    assert (config["next"], config["last"]) == (None, None)
    current = config["current"]
    assert current["activationTime"] == 27 * SECONDS
    assert current["blobSchedule"] == {"baseFeeUpdateFraction": 5_007_716, "max": 9, "target": 6}
    assert len(current["precompiles"]) == 17
    assert set(current["systemContracts"]) == {
        "BEACON_ROOTS_ADDRESS",
        "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS",
        "DEPOSIT_CONTRACT_ADDRESS",
        "HISTORY_STORAGE_ADDRESS",
        "WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS",
    }
