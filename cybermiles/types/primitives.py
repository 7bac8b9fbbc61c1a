"""Names for the numbers and byte strings that the protocol speaks of.

`NewType`s cost nothing at run time; ranges are checked where bytes or strangers' text are decoded.
"""

from __future__ import annotations

from typing import NewType

Address = NewType("Address", bytes)
"""20 bytes."""
Hash32 = NewType("Hash32", bytes)
"""32 bytes."""
Wei = NewType("Wei", int)
"""10^-18 CMT, never negative."""
Gas = NewType("Gas", int)
"""Units of EVM work as the Yellow Paper counts them."""
ComputeUnits = NewType("ComputeUnits", int)
"""Units of the second, time-like meter: about one microsecond of the reference machine each."""
Height = NewType("Height", int)
"""Position in the chain; genesis is 0. Ethereum's RPC calls it block number."""
Round = NewType("Round", int)
"""Consensus attempt inside one height, from 0."""
Nonce = NewType("Nonce", int)
"""Transactions an account has sent (for contracts: created), 64 bits."""
ChainId = NewType("ChainId", int)
"""EIP-155 chain id, 64 bits."""
Timestamp = NewType("Timestamp", int)
"""Whole seconds since 1970 UTC."""

ZERO_ADDRESS = Address(bytes(20))
ZERO_HASH = Hash32(bytes(32))
EMPTY_CODE_HASH = Hash32(bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"))
"""keccak256 of no bytes."""
EMPTY_TRIE_ROOT = Hash32(bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"))
"""Root of a Merkle-Patricia trie without entries: keccak256(rlp(b""))."""
EMPTY_OMMERS_HASH = Hash32(bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"))
"""keccak256(rlp([])): this chain has no ommers."""
WEI_PER_CMT = 10**18
GWEI = 10**9
