"""Trailers, and compiled code against deployed code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.rpc.verification.comparison import Match, Mismatch, OnChain, compare
from cybermiles.rpc.verification.metadata import ipfs_multihash, trailer_of
from tests.unit.rpc.verification.samples import ARGUMENTS, compiled, deployed, metadata, with_other_trailer

VAULT = compiled()
CREATION = VAULT.creation + ARGUMENTS


@pytest.mark.parametrize("name", ["Vault", "Shares"])
def test_the_trailer_that_solc_writes_has_the_hash_of_its_metadata(name):
    trailer = trailer_of(compiled(name).runtime)
    assert trailer == (53, ipfs_multihash(metadata(name).encode()), True, "0.8.30")


def test_a_file_that_ipfs_would_split_has_no_hash_here():
    assert ipfs_multihash(bytes(256 * 1024)) is not None
    assert ipfs_multihash(bytes(256 * 1024 + 1)) is None


@given(st.binary(max_size=80))
def test_no_bytes_break_the_trailer_reader(code):
    found = trailer_of(code)
    assert found is None or 2 < found.size <= len(code)


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"", None),
        (b"\x00\x00", None),
        (b"\xa0\x00\x01", (3, None, False, None)),
        (b"\xa1\x64solc\x65ab.cd\x00\x0c", (14, None, False, "ab.cd")),
        (b"\xa1\x65bzzr0\x42\x01\x02\x00\x0a", (12, None, True, None)),
        (b"\xa1\x6cexperimental\xf5\x00\x0f", (17, None, False, None)),
        (b"\xa1\x42ab\x42ab\x00\x07", None),
        (b"\xa1\x64ipfs\x5b\xff\xff\xff\x00\x0a", None),
        (b"\xa1\x64ipfs\x59\x00\x02ab\x00\x0b", (13, b"ab", True, None)),
        (b"\xa1\x62\xff\xff\x41a\x00\x06", None),
    ],
)
def test_trailers(tail, expected):
    assert trailer_of(b"\xfe" + tail) == expected


TABLE = [
    ("all equal", VAULT, deployed(), CREATION, Match.FULL, True),
    ("creation not known", VAULT, deployed(), None, Match.FULL, False),
    ("another comment", VAULT, with_other_trailer(deployed()), with_other_trailer(CREATION), Match.PARTIAL, True),
    ("no trailer on the chain", VAULT, deployed()[:-53], None, Match.PARTIAL, False),
    ("a library", compiled("Shares"), deployed("Shares"), None, Match.FULL, False),
    ("no trailer at all", compiled(runtime=VAULT.runtime[:-53]), deployed()[:-53], None, Match.PARTIAL, False),
]


@pytest.mark.parametrize(
    ("ours", "runtime", "creation", "match", "checked"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_what_matches(ours, runtime, creation, match, checked):
    verdict = compare(ours, OnChain(runtime, creation), ARGUMENTS)
    assert (verdict.match, verdict.is_creation_checked, verdict.arguments) == (match, checked, ARGUMENTS)


def flipped(code, at):
    return code[:at] + bytes([code[at] ^ 1]) + code[at + 1 :]


@pytest.mark.parametrize(
    ("runtime", "creation", "arguments", "message"),
    [
        (flipped(deployed(), 30), None, ARGUMENTS, "from byte 30 on"),
        (deployed() + b"\x00", None, ARGUMENTS, "the deployed code"),
        (deployed()[1:], None, ARGUMENTS, "compare compiler version"),
        (b"", None, ARGUMENTS, "0"),
        (deployed(), flipped(CREATION, 3), ARGUMENTS, "another constructor"),
        (deployed(), CREATION, ARGUMENTS[:-1] + b"\x01", ARGUMENTS.hex()),
        (deployed(), CREATION, b"", ARGUMENTS.hex()),
        (with_other_trailer(deployed()), with_other_trailer(flipped(CREATION, 3)), ARGUMENTS, "another constructor"),
    ],
)
def test_what_does_not_match(runtime, creation, arguments, message):
    with pytest.raises(Mismatch, match=message):
        compare(VAULT, OnChain(runtime, creation), arguments)


@given(st.integers(0, len(VAULT.runtime) - 54), st.integers(1, 255))
def test_a_flipped_byte_outside_the_immutables_is_a_mismatch(at, change):
    if any(start <= at < start + length for start, length in VAULT.immutables):
        return
    code = bytearray(deployed())
    code[at] ^= change
    with pytest.raises(Mismatch):
        compare(VAULT, OnChain(bytes(code), None), ARGUMENTS)
