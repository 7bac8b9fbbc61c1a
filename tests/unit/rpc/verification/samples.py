"""What solc made of tests/contracts/verification, and submissions of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import orjson

from cybermiles.crypto.hashing import keccak256
from cybermiles.rpc.ports import StateUnavailable
from cybermiles.rpc.verification.comparison import Compiled
from cybermiles.types.account import Account
from cybermiles.types.primitives import EMPTY_CODE_HASH, EMPTY_TRIE_ROOT

SOURCES = Path(__file__).parents[3] / "contracts" / "verification"
DOCUMENT = json.loads((SOURCES / "compiled.json").read_text())
VERSION = DOCUMENT["version"]
ADDRESS = bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")
OWNER = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266").rjust(32, b"\x00")
FEE = (2_500).to_bytes(32)
ARGUMENTS = FEE + (64).to_bytes(32) + (5).to_bytes(32) + b"vault".ljust(32, b"\x00")


def metadata(name="Vault"):
    return DOCUMENT["contracts"][name]["metadata"]


def compiled(name="Vault", **changes):
    found = DOCUMENT["contracts"][name]
    code = found["evm"]["deployedBytecode"]
    places = [place for group in code["immutableReferences"].values() for place in group]
    values = {
        "creation": bytes.fromhex(found["evm"]["bytecode"]["object"]),
        "runtime": bytes.fromhex(code["object"]),
        "immutables": tuple((place["start"], place["length"]) for place in places),
        "abi": found["abi"],
        "compiler": VERSION,
    }
    return Compiled(**values | changes)


def deployed(name="Vault"):
    """Return the runtime code as the chain has it: immutables and the library's own address filled in."""
    ours = compiled(name)
    code = bytearray(ours.runtime)
    values = iter([OWNER, FEE, FEE])
    for start, length in ours.immutables:
        code[start : start + length] = next(values)
    if name == "Shares":
        code[1:21] = ADDRESS
    return bytes(code)


def with_other_trailer(code):
    """Return code as if a comment in its sources were another one."""
    at = code.rindex(b"ipfs\x58\x22") + 8
    return code[:at] + bytes(32) + code[at + 32 :]


def form(**changes):
    values = {
        "module": "contract",
        "action": "verifysourcecode",
        "codeformat": "solidity-standard-json-input",
        "contractaddress": "0x" + ADDRESS.hex(),
        "contractname": "Vault.sol:Vault",
        "compilerversion": f"v{VERSION}",
        "constructorArguements": ARGUMENTS.hex(),
        "sourceCode": orjson.dumps(DOCUMENT["input"]).decode(),
    }
    return {name: value for name, value in (values | changes).items() if value is not None}


class VaultChain:
    """A chain of 50 blocks on which block 37 created the vault; states below `pruned_below` are gone."""

    chain_id = 181_818
    created = 37

    def __init__(self, code=None, pruned_below=0, is_direct=True):
        self.runtime = deployed() if code is None else code
        self.pruned_below = pruned_below
        self.is_direct = is_direct
        self.asked = []

    def head_height(self):
        return 50

    def state(self, height):
        self.asked.append(height)
        if height < self.pruned_below:
            raise StateUnavailable("pruned")
        accounts = {}
        if height >= self.created:
            accounts[ADDRESS] = Account(
                1, 0, EMPTY_TRIE_ROOT, keccak256(self.runtime) if self.runtime else EMPTY_CODE_HASH
            )
        return SimpleNamespace(account=accounts.get, code=lambda _hash: self.runtime)

    def transaction_count(self, height):
        return 2 if height == self.created else 0

    def transaction(self, height, index):
        assert height == self.created
        creation = SimpleNamespace(hash=b"\x77" * 32, sender=OWNER[12:], data=compiled().creation + ARGUMENTS)
        other = SimpleNamespace(hash=b"\x78" * 32, sender=bytes(20), data=b"")
        return (other, creation)[index]

    def outcome(self, height, index):
        assert height == self.created
        made = ADDRESS if self.is_direct else None
        return SimpleNamespace(outcome=SimpleNamespace(contract_address=(None, made)[index]))


SOLC = """\
import json, os, sys
assert os.nice(0) >= 10 and not {"HOME", "USER"} & set(os.environ)
question = json.load(sys.stdin)
[(path, names)] = question["settings"]["outputSelection"].items()
[name] = names
document = json.load(open(DOCUMENT))
contract = document["contracts"][name]
if "broken" in question["sources"][path]["content"]:
    answer = {"errors": [{"severity": "error", "formattedMessage": "ParserError: broken"}]}
elif "endless" in question["sources"][path]["content"]:
    while True:
        pass
elif "greedy" in question["sources"][path]["content"]:
    bytearray(1 << 30)
elif "verbose" in question["sources"][path]["content"]:
    print("x" * (1 << 22))
else:
    answer = {"contracts": {path: {name: contract}}, "errors": [{"severity": "warning", "message": "a warning"}]}
print(json.dumps(answer))
"""
"""A compiler that knows the answer, and misbehaves where the sources ask for it."""


def solc_command(directory):
    path = directory / "solc.py"
    path.write_text(SOLC.replace("DOCUMENT", repr(str(SOURCES / "compiled.json"))))
    return (sys.executable, str(path))


def source_with(text, path="Vault.sol"):
    """Return the standard JSON input with something else in one source."""
    sources = DOCUMENT["input"]["sources"]
    changed = {"content": sources[path]["content"] + f"// {text}\n"}
    return orjson.dumps(DOCUMENT["input"] | {"sources": sources | {path: changed}}).decode()
