"""A genesis document as JSON text, the inverse of `chain.genesis.parse_genesis`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cybermiles.chain.fees import decimal
from cybermiles.chain.params import PARAM_SPECS
from cybermiles.chain.reading import checksum, format_time
from cybermiles.types.primitives import WEI_PER_CMT

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument


def format_genesis(document: GenesisDocument) -> str:
    """Return the indented JSON text of a document."""
    values = document.params.to_strings()
    return (
        json.dumps(
            {
                "name": document.name,
                "chain_id": str(document.chain_id),
                "genesis_time": format_time(document.timestamp),
                "allow_unprotected": document.allow_unprotected,
                **({"dev": True} if document.dev else {}),
                "supply_cmt": decimal(document.supply, WEI_PER_CMT),
                "foundation": checksum(document.foundation),
                "parameters": {name: f"{values[name]} {spec.unit}" for name, spec in PARAM_SPECS.items()},
                "validators": [
                    {
                        "name": entry.name,
                        "consensus_key": "0x" + entry.validator.consensus_key.hex(),
                        "operator": checksum(entry.validator.operator),
                        "power": str(entry.validator.power),
                        "stake_cmt": decimal(entry.stake, WEI_PER_CMT),
                        "stake_cap_cmt": decimal(entry.stake_cap, WEI_PER_CMT),
                        "comp_rate": f"{entry.comp_rate.numerator}/{entry.comp_rate.denominator}",
                    }
                    for entry in document.validators
                ],
                "allocations": [
                    {
                        "label": allocation.label,
                        "address": checksum(allocation.address),
                        "amount_cmt": decimal(allocation.amount, WEI_PER_CMT),
                    }
                    for allocation in document.allocations
                ],
                "vesting": [
                    {
                        "label": grant.label,
                        "holder": checksum(grant.holder),
                        "amount_cmt": decimal(grant.amount, WEI_PER_CMT),
                        "start": format_time(grant.start),
                        "end": format_time(grant.end),
                    }
                    for grant in document.vesting
                ],
            },
            indent=2,
        )
        + "\n"
    )
