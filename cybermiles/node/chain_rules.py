"""What a genesis document means to those who execute: the rules, and the chain with an EVM of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.execution.parent import Chain
from cybermiles.system.registry import native_contracts
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import ChainRules, Fork

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.types.primitives import ChainId, Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFacts:
    """What execution depends on of a genesis document, small enough to cross to another process."""

    chain_id: ChainId
    genesis_hash: Hash32
    allow_unprotected: bool
    dev: bool
    """Whether the chain is one for development."""


def facts_of(document: GenesisDocument) -> ChainFacts:
    """Return a document's facts."""
    return ChainFacts(
        chain_id=document.chain_id,
        genesis_hash=document.hash,
        allow_unprotected=document.allow_unprotected,
        dev=document.dev,
    )


def rules_of(facts: ChainFacts) -> ChainRules:
    """Return what transactions are executed under."""
    return ChainRules(fork=Fork.OSAKA, chain_id=facts.chain_id, allow_unsigned=facts.dev)


def chain_of(facts: ChainFacts) -> Chain:
    """Return the chain's constants with an EVM of its own: a backend belongs to one thread."""
    return Chain(
        chain_id=facts.chain_id,
        genesis_hash=facts.genesis_hash,
        allow_unprotected=facts.allow_unprotected,
        backend=PyEvmBackend(rules_of(facts), native_contracts(dev=facts.dev)),
    )
