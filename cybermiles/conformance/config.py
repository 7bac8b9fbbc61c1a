"""`eth_config` (EIP-7910) of a foreign chain: the rules in force at its head, the next ones, and the last."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from cybermiles.conformance.requests import CONSOLIDATION_REQUESTS, WITHDRAWAL_REQUESTS
from cybermiles.conformance.transition import BEACON_ROOTS, HISTORY
from cybermiles.rpc.namespaces.eth_node import PRECOMPILES
from cybermiles.rpc.quantities import encode_data
from cybermiles.vm.ethereum import EthereumFork

if TYPE_CHECKING:
    from cybermiles.conformance.chain import ForeignChain
    from cybermiles.conformance.forks import ForkSchedule
    from cybermiles.rpc.jsonrpc import Json

_LAST_OF_CANCUN, _LAST_OF_PRAGUE = 0x0A, 0x11


def ethereum_config(schedule: ForkSchedule, chain: ForeignChain) -> Json:
    """Return what the head's fork, the one after it and the last one are; null for those that are not there."""
    genesis = chain.foreign(0).header
    now = chain.head.timestamp
    begun = [time for time in schedule.fork_times if time <= now]
    coming = [time for time in schedule.fork_times if time > now]

    def shown(time: int) -> Json:
        blobs = schedule.blobs_at(time)
        fork = schedule.at(schedule.merge_height, time)
        return {
            "activationTime": 0 if time <= genesis.timestamp else time,
            "blobSchedule": {
                "baseFeeUpdateFraction": blobs.fee_fraction,
                "max": blobs.maximum,
                "target": blobs.target,
            },
            "chainId": hex(schedule.chain_id),
            "forkId": fork_id(schedule, genesis.hash, genesis.timestamp, time),
            "precompiles": {name: f"0x{number:040x}" for name, number in PRECOMPILES.items() if _has(fork, number)},
            "systemContracts": _system_contracts(schedule, fork),
        }

    return {
        "current": shown(begun[-1]) if begun else None,
        "next": shown(coming[0]) if coming else None,
        "last": shown(coming[-1]) if coming else None,
    }


def fork_id(schedule: ForkSchedule, genesis_hash: bytes, genesis_time: int, time: int) -> str:
    """Return the checksum over block 0 and every fork up to a time (EIP-2124, EIP-6122)."""
    checksum = crc32(genesis_hash)
    times = [fork for fork in schedule.fork_times if genesis_time < fork <= time]
    for passed in (*schedule.fork_blocks, *times):
        checksum = crc32(passed.to_bytes(8), checksum)
    return f"0x{checksum:08x}"


def _has(fork: EthereumFork, number: int) -> bool:
    if number <= _LAST_OF_CANCUN:
        return fork >= EthereumFork.CANCUN or number < _LAST_OF_CANCUN
    return fork >= (EthereumFork.PRAGUE if number <= _LAST_OF_PRAGUE else EthereumFork.OSAKA)


def _system_contracts(schedule: ForkSchedule, fork: EthereumFork) -> Json:
    contracts = {}
    if fork >= EthereumFork.CANCUN:
        contracts["BEACON_ROOTS_ADDRESS"] = BEACON_ROOTS
    if fork >= EthereumFork.PRAGUE:
        contracts["CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS"] = CONSOLIDATION_REQUESTS
        contracts["DEPOSIT_CONTRACT_ADDRESS"] = schedule.deposit_contract
        contracts["HISTORY_STORAGE_ADDRESS"] = HISTORY
        contracts["WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS"] = WITHDRAWAL_REQUESTS
    return {name: encode_data(address) for name, address in contracts.items()}
