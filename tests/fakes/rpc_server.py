"""A node's JSON-RPC for the command line's tests: canned answers over real HTTP, and a chain that mines what is sent."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from cybermiles.chain.params import ChainParams
from cybermiles.system.abi import load_abi
from cybermiles.system.interface import ADDRESSES
from cybermiles.types.transaction_codec import decode_transaction

CHAIN_ID = 181_818


class Reverts(Exception):
    """An answer that is a revert with this data."""

    def __init__(self, data=b""):
        super().__init__(data)
        self.data = data


def refusal(interface, name, *arguments):
    """Return a revert with a custom error."""
    return Reverts(load_abi(interface).errors[name].encode(arguments))


class FakeRpc:
    """Answers by method; system contracts by interface and function; transactions are in the next block."""

    def __init__(self):
        self.params = ChainParams().to_strings()
        self.outputs = {}
        self.estimate = 150_000
        self.sent = []
        self.calls = []
        self.logs = []
        self.succeeds = True
        self.failure = {"status": "included", "failure": "execution reverted", "output": "0x"}
        self.is_mined = True
        self.status = {"status": "pending"}

    def answer(self, interface, function, value):
        """Set what a function answers: a value, a Reverts, or a function of the arguments."""
        method = load_abi(interface).functions[function]
        self.outputs[ADDRESSES[interface], method.selector] = (method, value)

    def respond(self, method, params):
        return getattr(self, method)(*params)

    def eth_chainId(self):  # noqa: N802
        return hex(CHAIN_ID)

    def eth_blockNumber(self):  # noqa: N802
        return "0x9"

    def cmt_params(self):
        return self.params

    def eth_getTransactionCount(self, address, tag):  # noqa: N802
        assert tag == "pending"
        return hex(4 + len(self.sent))

    def eth_call(self, message, block):
        self.calls.append((message, block))
        to, data = bytes.fromhex(message["to"][2:]), bytes.fromhex(message["data"][2:])
        method, value = self.outputs[to, data[:4]]
        if callable(value):
            value = value(*method.decode_arguments(data))
        if isinstance(value, Reverts):
            raise value
        return "0x" + method.encode_output(value).hex()

    def eth_estimateGas(self, message):  # noqa: N802
        self.calls.append((message, "estimate"))
        if isinstance(self.estimate, Reverts):
            raise self.estimate
        return hex(self.estimate)

    def eth_sendRawTransaction(self, raw):  # noqa: N802
        transaction = decode_transaction(bytes.fromhex(raw[2:]))
        self.sent.append(transaction)
        return "0x" + transaction.hash.hex()

    def eth_getTransactionReceipt(self, hash_):  # noqa: N802
        if not self.is_mined:
            return None
        transaction = next(tx for tx in self.sent if "0x" + tx.hash.hex() == hash_)
        return {
            "transactionHash": hash_,
            "blockNumber": "0xa",
            "status": hex(self.succeeds),
            "gasUsed": "0x5208",
            "effectiveGasPrice": hex(transaction.max_fee_per_gas),
            "cmtLane": "free",
            "logs": [
                {
                    "address": "0x" + log.address.hex(),
                    "topics": ["0x" + topic.hex() for topic in log.topics],
                    "data": "0x" + log.data.hex(),
                }
                for log in self.logs
            ],
        }

    def cmt_transactionStatus(self, _hash):  # noqa: N802
        return self.failure if self.is_mined else self.status


@contextmanager
def serving(node):
    """Serve a FakeRpc; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = {"jsonrpc": "2.0", "id": request["id"]}
            try:
                answer["result"] = node.respond(request["method"], request["params"])
            except Reverts as revert:
                answer["error"] = {"code": 3, "message": "execution reverted", "data": "0x" + revert.data.hex()}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
