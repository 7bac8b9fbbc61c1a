"""Ethereum's rule sets by name, for foreign chains; CyberMiles itself knows those of `vm.rules.Fork` only."""

from __future__ import annotations

from enum import IntEnum

from cybermiles.vm.rules import Fork


class EthereumFork(IntEnum):
    """Ethereum's forks that changed how transactions are executed, oldest first."""

    FRONTIER = 0
    HOMESTEAD = 1
    TANGERINE_WHISTLE = 2
    SPURIOUS_DRAGON = 3
    BYZANTIUM = 4
    CONSTANTINOPLE = 5
    PETERSBURG = 6
    ISTANBUL = 7
    BERLIN = 8
    LONDON = 9
    PARIS = 10
    SHANGHAI = 11
    CANCUN = 12
    PRAGUE = 13
    OSAKA = 14


OWN_FORKS = {
    EthereumFork.CANCUN: Fork.CANCUN,
    EthereumFork.PRAGUE: Fork.PRAGUE,
    EthereumFork.OSAKA: Fork.OSAKA,
}
"""Those that this node's own VM implements; earlier ones run on py-evm as it is."""
