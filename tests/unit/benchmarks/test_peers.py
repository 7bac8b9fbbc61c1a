"""What `bench_peers` sends is valid on every chain it compares, and what it adds up is all of a node."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict

import pytest

from benchmarks import bench_peers
from benchmarks.load import CHAIN_ID, accounts
from benchmarks.peers import family
from benchmarks.peers_load import CHECKED, RECIPIENTS, TOKEN, loads
from benchmarks.workload import BATCH, SENDERS
from cybermiles.crypto.hashing import keccak256
from cybermiles.types.transaction import LEGACY

WARM_UP, COUNT = 400, 2_000
PUSH0, PUSH1, PUSH32 = 0x5F, 0x60, 0x7F


@pytest.fixture(scope="module")
def both():
    return loads(WARM_UP, COUNT)


def test_the_loads_one_after_another_use_every_nonce_of_every_sender_once(both):
    nonces = defaultdict(list)
    for load in both:
        assert (len(load.warm_up), len(load.measured)) == (WARM_UP, COUNT)
        for transaction in (*load.before, *load.warm_up, *load.measured):
            nonces[transaction.sender].append(transaction.nonce)
        assert [t.sender for t in load.last_of_each] == accounts(SENDERS)
        assert [t.nonce for t in load.last_of_each] == [nonces[sender][-1] for sender in accounts(SENDERS)]
    assert all(used == list(range(len(used))) for used in nonces.values())
    assert set(nonces) == set(accounts(SENDERS))


def test_every_transaction_is_of_the_oldest_kind_and_hashes_alike_everywhere(both):
    for transaction in (both[0].measured[-1], both[1].before[0], both[1].measured[-1]):
        assert (transaction.type, transaction.chain_id) == (LEGACY, CHAIN_ID)
        assert transaction.hash == keccak256(transaction.raw)


def test_the_answer_counts_what_the_checked_recipient_gets(both):
    checked = accounts(RECIPIENTS)[CHECKED]
    assert checked not in accounts(SENDERS)
    plain, token = both
    assert plain.answer == sum(t.value for t in (*plain.warm_up, *plain.measured) if t.to == checked) > 0
    receives = [t for t in (*token.warm_up, *token.measured) if checked in t.data]
    assert token.answer == len(receives) == plain.answer


def test_the_token_runs_on_a_chain_without_push0():
    code, at, opcodes = bytes.fromhex(json.loads(TOKEN.read_text())["bytecode"][2:]), 0, set()
    end = code.rindex(b"\xa2\x64ipfs")  # the compiler's metadata is no code
    while at < end:
        opcodes.add(code[at])
        at += 1 + (code[at] - PUSH1 + 1 if PUSH1 <= code[at] <= PUSH32 else 0)
    assert PUSH1 in opcodes
    assert PUSH0 not in opcodes


@pytest.mark.parametrize("in_parallel", [False, True])
def test_a_network_gets_its_batches_in_turn_each_once(both, monkeypatch, in_parallel):
    sent = defaultdict(list)
    monkeypatch.setattr(bench_peers, "send_to", lambda url, transactions: sent[url].extend(transactions))
    urls, load = ["a", "b", "c"], both[0].measured
    bench_peers.send(urls, load, in_parallel)
    for number, url in enumerate(urls):
        turns = range(number * BATCH, COUNT, len(urls) * BATCH)
        assert sent[url] == [transaction for at in turns for transaction in load[at : at + BATCH]]


def test_a_node_is_its_process_with_the_children_of_its_children():
    inner = "print('ready', flush=True); input()"
    middle = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {middle!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout.readline() == "ready\n"
        members = family(parent.pid)
        parent.communicate("\n")
    assert members[0] == parent.pid
    assert len(members) == 3
