"""Ids, addresses, key files, and what nodes say of themselves."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.crypto.hashing import sha256
from cybermiles.errors import ConfigError, CybermilesError, DecodingError
from cybermiles.p2p.identity import (
    Endpoint,
    NodeKey,
    PeerAddress,
    address_block,
    is_loopback,
    network_group,
    parse_node_id,
)
from cybermiles.p2p.key_file import load_node_key, save_node_key
from cybermiles.p2p.node_info import (
    NodeInfo,
    Refusal,
    RefusalCode,
    address_fields,
    decode_addresses,
    decode_node_info,
    decode_refusal,
    encode_node_info,
    refusal_fields,
)
from cybermiles.types import rlp
from tests.fakes.links import ALICE, BOB, info

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=64)
ADDRESSES = st.builds(
    lambda key, ip, port: PeerAddress(NodeKey(b"", key).id, Endpoint(str(ip), port)),
    st.binary(min_size=32, max_size=32),
    st.ip_addresses().filter(lambda ip: getattr(ip, "ipv4_mapped", None) is None),
    st.integers(1, 65_535),
)


def test_an_id_is_the_start_of_the_hash_of_the_public_key():
    assert ALICE.id == sha256(ALICE.public)[:20].hex()
    assert "private" not in repr(ALICE)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("1.2.3.4:26656", "1.2.3.4", 26_656),
        (" seed.example.org:1 ", "seed.example.org", 1),
        ("[2001:db8::1]:65535", "2001:db8::1", 65_535),
        ("localhost:0", "localhost", 0),
        ("node_1-a:80", "node_1-a", 80),
    ],
)
def test_an_endpoint_is_read_and_written(text, host, port):
    endpoint = Endpoint.parse(text)
    assert (endpoint.host, endpoint.port) == (host, port)
    assert str(endpoint) == text.strip()


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("", "write host:port"),
        ("1.2.3.4", "write host:port"),
        ("2001:db8::1:26656", r"\[address\]:port for IPv6"),
        ("host:99999", "port 99999 is over 65535"),
        ("host:-1", "write host:port"),
        ("host:١", "write host:port"),
        ("[1::2::3]:1", "not an IPv6 address"),
        ("1.2.3.999:1", "neither an IP address nor a host name"),
        ("-bad-.org:1", "neither"),
        (f"{'a' * 64}.org:1", "neither"),
        (":1", "neither"),
        ("a b:1", "neither"),
    ],
)
def test_what_is_no_endpoint_is_refused_with_advice(text, phrase):
    with pytest.raises(ConfigError, match=phrase):
        Endpoint.parse(text)


def test_a_peer_address_names_id_host_and_port():
    text = f"{BOB.id}@[::1]:26656"
    assert str(PeerAddress.parse(text)) == text
    assert PeerAddress.parse(text.upper().replace("[::1]", "[::1]")).id == BOB.id
    for wrong, phrase in (
        ("1.2.3.4:26656", "write id@host:port"),
        ("abc@1.2.3.4:26656", "40 hex digits"),
        (f"{BOB.id}@1.2.3.4:0", "port 0"),
    ):
        with pytest.raises(ConfigError, match=phrase):
            PeerAddress.parse(wrong)
    with pytest.raises(ConfigError, match="cmt node show-id"):
        parse_node_id("xyz")


@given(st.text(max_size=80))
def test_no_text_raises_anything_else(text):
    for parse in (PeerAddress.parse, Endpoint.parse, parse_node_id):
        try:
            parse(text)
        except ConfigError:
            pass


def test_groups_are_what_one_party_may_own():
    assert network_group("8.8.4.4") == network_group("8.8.200.1") == "8.8.0.0/16"
    assert network_group("2600:1f00::1") == network_group("2600:1f00:ffff::2")
    assert network_group("::ffff:8.8.1.1") == "8.8.0.0/16"
    assert network_group("10.0.0.1") != network_group("10.0.0.2")
    assert address_block("2600:1f00::1") == address_block("2600:1f00::ffff:2") != address_block("2600:1f00:0:1::1")
    assert address_block("::ffff:8.8.1.1") == address_block("8.8.1.1") == "8.8.1.1"
    assert address_block("node.example") == "node.example"
    assert is_loopback("127.9.9.9")
    assert is_loopback("::1")
    assert not is_loopback("localhost.example")


def test_a_key_file_is_private_and_comes_back(tmp_path):
    path = tmp_path / "node_key.json"
    save_node_key(path, ALICE)
    assert load_node_key(path) == ALICE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["node_key.json"]
    with pytest.raises(ConfigError, match="move it away"):
        save_node_key(path, BOB)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"private_key": "zz", "id": ""}', '{"private_key": "00"}', "\x00"]
)
def test_a_damaged_key_file_is_refused(tmp_path, content):
    path = tmp_path / "node_key.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match="is not a node key file"):
        load_node_key(path)


def test_a_missing_or_mixed_up_key_file_is_refused(tmp_path):
    path = tmp_path / "node_key.json"
    with pytest.raises(ConfigError, match="cmt init"):
        load_node_key(path)
    save_node_key(path, ALICE)
    path.write_text(path.read_text().replace(ALICE.id, BOB.id))
    with pytest.raises(ConfigError, match="does not belong"):
        load_node_key(path)


@given(
    st.builds(
        NodeInfo,
        chain_id=st.integers(0, 2**64 - 1),
        genesis_hash=st.binary(min_size=32, max_size=32),
        channels=st.sets(st.integers(0, 255), max_size=32).map(lambda ids: tuple(sorted(ids))),
        listen_address=st.sampled_from(["", "1.2.3.4:5", "[2600::1]:26656", "node.example:1"]),
        moniker=PRINTABLE,
        software_version=PRINTABLE,
        protocol_version=st.integers(0, 2**32 - 1),
    )
)
def test_node_info_comes_back(value):
    assert decode_node_info(encode_node_info(value)) == value


@given(st.binary(max_size=300))
def test_no_bytes_decode_to_anything_but_node_info(data):
    try:
        assert encode_node_info(decode_node_info(data)) == data
    except DecodingError:
        pass


@pytest.mark.parametrize(
    "changes",
    [{"channels": (2, 1)}, {"channels": (1, 1)}, {"moniker": "x" * 65}, {"moniker": "\n"}, {"moniker": "é"}],
)
def test_a_node_may_not_say_just_anything_of_itself(changes):
    with pytest.raises(ConfigError):
        encode_node_info(info(**changes))


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (3, bytes((2, 1))),
        (3, bytes(33)),
        (4, b"nonsense"),
        (4, b"[1.2.3.4]:5"),
        (5, b"x" * 65),
        (5, b"\n"),
        (2, bytes(31)),
    ],
)
def test_bounds_hold_for_what_peers_say(position, value):
    fields = rlp.decode(encode_node_info(info()))
    fields[position] = value
    with pytest.raises(DecodingError):
        decode_node_info(rlp.encode(fields))


@given(st.lists(ADDRESSES, max_size=16), PRINTABLE)
def test_a_refusal_comes_back(addresses, reason):
    refusal = Refusal(RefusalCode.FULL, reason, tuple(addresses))
    assert decode_refusal(rlp.decode(rlp.encode(refusal_fields(refusal)))) == refusal


def test_a_refusal_is_bounded_both_ways():
    address = PeerAddress.parse(f"{BOB.id}@1.2.3.4:5")
    fields = refusal_fields(Refusal(RefusalCode.FULL, "é\n" * 500, (address,) * 20))
    sent = decode_refusal(rlp.decode(rlp.encode(fields)))
    assert sent.reason == "?" * 200
    assert len(sent.addresses) == 16
    for wrong in ([b"\x63", b"", []], [b"\x06", b"x" * 201, []], [b"\x06", b"", [[]]], [b"\x06", b""]):
        with pytest.raises(CybermilesError):
            decode_refusal(wrong)


@pytest.mark.parametrize(
    "entry",
    [
        [b"\x01" * 19, b"\x01" * 4, b"\x01"],
        [b"\x01" * 20, b"\x01" * 5, b"\x01"],
        [b"\x01" * 20, b"\x01" * 4, b""],
        [b"\x01" * 20, b"\x01" * 4, b"\x01\x00\x00"],
        [b"\x01" * 20, bytes(10) + b"\xff\xff\x01\x02\x03\x04", b"\x01"],
        [b"\x01" * 20, b"\x01" * 4],
        b"x",
    ],
)
def test_what_is_no_address_is_refused(entry):
    with pytest.raises(DecodingError):
        decode_addresses([entry], 250)


def test_host_names_are_not_told():
    assert address_fields([PeerAddress.parse(f"{BOB.id}@node.example:1")]) == []
