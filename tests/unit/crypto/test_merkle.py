"""RFC 6962 trees: known roots, and proofs that prove one leaf in one place."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.crypto.merkle import leaf_hash, root_and_proofs, verify_proof

LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=20)
SEVEN = [
    b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43", b"\x50\x51\x52\x53\x54\x55\x56\x57",
    bytes(range(0x60, 0x70)),
]  # fmt: skip
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
"""Of the first leaves of SEVEN and one more: the tree that certificate-transparency's reference code is tested with."""


def naive_root(leaves):
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


@pytest.mark.parametrize("count", ROOTS)
def test_the_roots_of_the_reference(count):
    assert root_and_proofs(SEVEN[:count])[0].hex() == ROOTS[count]


@given(LEAVES)
def test_the_root_is_that_of_the_definition(leaves):
    assert root_and_proofs(leaves)[0] == naive_root(leaves)


@given(LEAVES)
def test_every_leaf_is_proven(leaves):
    root, proofs = root_and_proofs(leaves)
    for index, (leaf, proof) in enumerate(zip(leaves, proofs, strict=True)):
        assert verify_proof(root, leaf, index, len(leaves), proof)


@given(LEAVES, st.data())
def test_a_proof_proves_nothing_else(leaves, data):
    root, proofs = root_and_proofs(leaves)
    total = len(leaves)
    index = data.draw(st.integers(0, total - 1))
    leaf, proof = leaves[index], proofs[index]
    assert not verify_proof(root, leaf + b"!", index, total, proof)
    assert not verify_proof(root, leaf, index, total, (*proof, b"\x00" * 32))
    assert not verify_proof(bytes(32), leaf, index, total, proof)
    for other in range(-1, total + 2):
        if other != index and not (0 <= other < total and leaves[other] == leaf and proofs[other] == proof):
            assert not verify_proof(root, leaf, other, total, proof) or leaves[other] == leaf
    if proof:
        assert not verify_proof(root, leaf, index, total, proof[:-1])
        place = data.draw(st.integers(0, len(proof) - 1))
        broken = [*proof]
        broken[place] = bytes(32)
        assert not verify_proof(root, leaf, index, total, broken)
        broken[place] = proof[place] + b"\x00"
        assert not verify_proof(root, leaf, index, total, broken)


def test_an_inner_node_is_no_leaf():
    root, _ = root_and_proofs([b"a", b"b"])
    assert not verify_proof(root, leaf_hash(b"a") + leaf_hash(b"b"), 0, 1, ())
    assert verify_proof(root_and_proofs([b"a"])[0], b"a", 0, 1, ())


def test_a_tree_has_a_leaf():
    with pytest.raises(ValueError, match="at least one leaf"):
        root_and_proofs([])
    assert not verify_proof(bytes(32), b"", 0, 0, ())
