"""Lists of victims: what is read, what is refused, and trees that OpenZeppelin's tools would make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.cli.victims import Victim, merkle_proof, merkle_root, read_victims
from cybermiles.errors import ConfigError
from cybermiles.governance.recovery import leaf_of, root_of
from cybermiles.types.primitives import Address

CMT = 10**18
ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
VICTIMS = st.lists(st.builds(Victim, st.binary(min_size=20, max_size=20), st.integers(0, 2**256 - 1)), min_size=1)


def test_the_root_is_openzeppelin_s():
    """The example of github.com/OpenZeppelin/merkle-tree's README."""
    victims = [Victim(Address(b"\x11" * 20), 5 * CMT), Victim(Address(b"\x22" * 20), 5 * CMT // 2)]
    assert merkle_root(victims).hex() == "d4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77"


@given(victims=VICTIMS)
def test_every_entry_has_a_proof_that_leads_to_the_root_in_any_order(victims):
    root = merkle_root(victims)
    assert root == merkle_root(victims[::-1])
    for victim in victims:
        assert root_of(leaf_of(*victim), merkle_proof(victims, victim)) == root


@given(victims=VICTIMS)
def test_who_is_not_listed_has_no_proof(victims):
    stranger = Victim(victims[0].address, (victims[0].amount + 1) % 2**256)
    if stranger not in victims:
        with pytest.raises(ConfigError, match="not on the list"):
            merkle_proof(victims, stranger)


def test_a_file_has_a_line_for_each_and_may_have_a_head_line(tmp_path):
    file = tmp_path / "victims.csv"
    file.write_text(f"victim,amount\n\n{ALICE}, 1.5\n{ALICE.lower()},2\n")
    owner = Address(bytes.fromhex(ALICE[2:]))
    assert read_victims(file) == [Victim(owner, 15 * CMT // 10), Victim(owner, 2 * CMT)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lists nobody"),
        (b"victim,amount\n", "lists nobody"),
        (b"\xff\xfe", "not UTF-8"),
        (f"{ALICE}".encode(), "line 1.*ADDRESS,CMT"),
        (f"{ALICE},1\nbob,1".encode(), "line 2"),
        (f"{ALICE},-1".encode(), "line 1.*amount"),
        (f"{ALICE[:-1]}7,1".encode(), "line 1.*checksum"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line(tmp_path, content, said):
    file = tmp_path / "victims.csv"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_victims(file)
