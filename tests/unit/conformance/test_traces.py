"""Blocks of a foreign chain are traced under its own rules, from Cancun on."""

from __future__ import annotations

CALLS = {"tracer": "callTracer"}


def test_every_transaction_from_cancun_on_is_replayed(ask):
    head = int(ask("eth_blockNumber")[0], 16)
    traced = 0
    for height in range(1, head + 1):
        traces, error = ask("debug_traceBlockByNumber", hex(height), CALLS)
        if error is not None:
            assert "before Cancun" in error["message"]
            assert not traced
            continue
        receipts, _ = ask("eth_getBlockReceipts", hex(height))
        assert [(entry["txHash"], entry["result"]["gasUsed"]) for entry in traces] == [
            (receipt["transactionHash"], receipt["gasUsed"]) for receipt in receipts
        ]
        traced += len(traces)
        for receipt in receipts:
            steps, _ = ask("debug_traceTransaction", receipt["transactionHash"])
            assert steps["failed"] == (receipt["status"] == "0x0")
            assert steps["gas"] == int(receipt["gasUsed"], 16)
    assert traced


def test_a_call_under_old_rules_is_not_traced(ask):
    _, error = ask("debug_traceCall", {"to": "0x" + "11" * 20}, "0x1", CALLS)
    assert "before Cancun" in error["message"]
    trace, _ = ask("debug_traceCall", {"to": "0x" + "11" * 20}, "latest", CALLS)
    assert trace["type"] == "CALL"
