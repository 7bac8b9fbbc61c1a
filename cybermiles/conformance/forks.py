"""Which of Ethereum's rules a foreign chain follows in which block, from the `config` of its genesis file.

Forks up to the merge begin at block numbers, the merge where a header's difficulty becomes 0, later ones at times.
What a fork changes in the number and price of blobs alone (EIP-7892) is a blob schedule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from cybermiles.conformance.errors import ForeignChainError
from cybermiles.types.primitives import Address, ChainId
from cybermiles.vm.ethereum import EthereumFork

if TYPE_CHECKING:
    from collections.abc import Mapping

_BLOCK_KEYS = (
    ("homesteadBlock", EthereumFork.HOMESTEAD),
    ("eip150Block", EthereumFork.TANGERINE_WHISTLE),
    ("eip158Block", EthereumFork.SPURIOUS_DRAGON),
    ("byzantiumBlock", EthereumFork.BYZANTIUM),
    ("constantinopleBlock", EthereumFork.CONSTANTINOPLE),
    ("petersburgBlock", EthereumFork.PETERSBURG),
    ("istanbulBlock", EthereumFork.ISTANBUL),
    ("berlinBlock", EthereumFork.BERLIN),
    ("londonBlock", EthereumFork.LONDON),
)
_TIME_KEYS = (
    ("shanghaiTime", EthereumFork.SHANGHAI),
    ("cancunTime", EthereumFork.CANCUN),
    ("pragueTime", EthereumFork.PRAGUE),
    ("osakaTime", EthereumFork.OSAKA),
)
_BLOB_KEYS = ("cancun", "prague", "osaka", "bpo1", "bpo2", "bpo3", "bpo4", "bpo5")
_UNKNOWN_FORKS = ("amsterdamTime", "verkleTime")
"""Later than this software."""
_NEVER = 2**64
MAINNET_DEPOSIT_CONTRACT = Address(bytes.fromhex("00000000219ab540356cbb839cbe05303d7705fa"))


class BlobSchedule(NamedTuple):
    """How many blobs a block aims at and may have, and how slowly their price moves."""

    target: int
    maximum: int
    fee_fraction: int


_NO_BLOBS = BlobSchedule(0, 0, 1)
_KNOWN_BLOBS = {
    "cancun": BlobSchedule(3, 6, 3_338_477),
    "prague": BlobSchedule(6, 9, 5_007_716),
    "osaka": BlobSchedule(6, 9, 5_007_716),
}
"""Mainnet's, for files that do not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkSchedule:
    """When each fork begins."""

    chain_id: ChainId
    blocks: tuple[tuple[int, EthereumFork], ...]
    """(first block, fork) of those before the merge, in order of forks."""
    times: tuple[tuple[int, EthereumFork], ...]
    """(first time, fork) of those after it."""
    blobs: tuple[tuple[int, BlobSchedule], ...]
    """(first time, schedule), in order of time."""
    fork_blocks: tuple[int, ...]
    """Every block but 0 where the file has a fork, also one that changed no execution; for the fork id (EIP-2124)."""
    fork_times: tuple[int, ...]
    """Every time at which the file has a fork."""
    deposit_contract: Address
    """Whose logs are deposit requests (EIP-6110)."""
    merge_height: int = _NEVER
    """First block with difficulty 0."""

    def merged_at(self, height: int) -> ForkSchedule:
        """Return the schedule with the height at which the chain merged."""
        return replace(self, merge_height=height)

    def at(self, height: int, timestamp: int) -> EthereumFork:
        """Return the fork in force in a block."""
        fork = EthereumFork.FRONTIER
        for first, candidate in self.blocks:
            if height >= first:
                fork = candidate
        if height < self.merge_height:
            return fork
        fork = EthereumFork.PARIS
        for first, candidate in self.times:
            if timestamp >= first:
                fork = candidate
        return fork

    def blobs_at(self, timestamp: int) -> BlobSchedule:
        """Return the blob schedule in force at a time."""
        schedule = _NO_BLOBS
        for first, candidate in self.blobs:
            if timestamp >= first:
                schedule = candidate
        return schedule


def read_schedule(config: Mapping[str, Any]) -> ForkSchedule:
    """Return the schedule in the `config` of a geth genesis file. Raises ForeignChainError for an unknown fork."""
    for key in _UNKNOWN_FORKS:
        if config.get(key) is not None:
            raise ForeignChainError(f"config.{key}: this software does not know that fork; it knows those up to Osaka")
    deposits = config.get("depositContractAddress")
    return ForkSchedule(
        chain_id=ChainId(int(config["chainId"])),
        blocks=tuple((int(config[key]), fork) for key, fork in _BLOCK_KEYS if config.get(key) is not None),
        times=tuple((int(config[key]), fork) for key, fork in _TIME_KEYS if config.get(key) is not None),
        blobs=tuple(sorted(_blobs(config), key=lambda entry: entry[0])),
        fork_blocks=tuple(sorted({int(config[key]) for key in config if _is_fork(config, key, "Block")} - {0})),
        fork_times=tuple(sorted({int(config[key]) for key in config if _is_fork(config, key, "Time")})),
        deposit_contract=MAINNET_DEPOSIT_CONTRACT if not deposits else Address(bytes.fromhex(deposits[2:])),
    )


def _is_fork(config: Mapping[str, Any], key: str, suffix: str) -> bool:
    return key.endswith(suffix) and isinstance(config[key], int) and not isinstance(config[key], bool)


def _blobs(config: Mapping[str, Any]) -> list[tuple[int, BlobSchedule]]:
    given = config.get("blobSchedule") or {}
    entries = []
    for name in _BLOB_KEYS:
        first = config.get(f"{name}Time")
        if first is None:
            continue
        entry = given.get(name)
        if entry is not None:
            entries.append((int(first), BlobSchedule(entry["target"], entry["max"], entry["baseFeeUpdateFraction"])))
        elif name in _KNOWN_BLOBS:
            entries.append((int(first), _KNOWN_BLOBS[name]))
    return entries
