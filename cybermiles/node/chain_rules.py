"""What a genesis document means to those who execute: the rules, and the chain with an EVM of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.execution.parent import Chain
from cybermiles.system.registry import native_contracts
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import ChainRules, Fork

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument


def rules_of(document: GenesisDocument) -> ChainRules:
    """Return what transactions are executed under."""
    return ChainRules(fork=Fork.OSAKA, chain_id=document.chain_id, allow_unsigned=document.dev)


def chain_of(document: GenesisDocument) -> Chain:
    """Return the chain's constants with an EVM of its own: a backend belongs to one thread."""
    return Chain(
        chain_id=document.chain_id,
        genesis_hash=document.hash,
        allow_unprotected=document.allow_unprotected,
        backend=PyEvmBackend(rules_of(document), native_contracts(dev=document.dev)),
    )
