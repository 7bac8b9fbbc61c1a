"""A transaction from wire bytes: decoding, and recovering its sender; beside eth-account and py-evm on the same bytes."""

from __future__ import annotations

import json
import statistics
import time

import eth_account
from eth.vm.forks.shanghai.transactions import ShanghaiTransactionBuilder

from benchmarks.load import accounts, transfers
from cybermiles.types.transaction import recover_senders
from cybermiles.types.transaction_codec import decode_transaction


def best_of(function, items, repeat=5):
    """Return the median over repeats of µs per item."""
    runs = []
    for _ in range(repeat):
        began = time.process_time()
        function(items)
        runs.append((time.process_time() - began) / len(items) * 1e6)
    return round(statistics.median(runs), 1)


def main():
    """Print µs per transaction."""
    raws = [tx.raw for tx in transfers(50, 20, accounts(50))]

    def decode_and_recover(batch):
        recover_senders([decode_transaction(raw) for raw in batch])

    def stock(batch):
        for raw in batch:
            ShanghaiTransactionBuilder.decode(raw).sender

    figures = {
        "decode_us": best_of(lambda batch: [decode_transaction(raw) for raw in batch], raws),
        "decode_and_recover_us": best_of(decode_and_recover, raws),
        "stock_pyevm_us": best_of(stock, raws),
        "eth_account_us": best_of(lambda batch: [eth_account.Account.recover_transaction(r) for r in batch], raws),
    }
    figures["ratio_to_stock"] = round(figures["stock_pyevm_us"] / figures["decode_and_recover_us"], 1)
    print(json.dumps({"case": "transaction from wire bytes", **figures}))


if __name__ == "__main__":
    main()
