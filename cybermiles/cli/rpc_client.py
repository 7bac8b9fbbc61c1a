"""A minimal JSON-RPC client for the commands that ask a running node."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from cybermiles.cli.output import CommandError

TIMEOUT_SECONDS = 10


def call(url: str, method: str, *params: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """Return the result of one request. Raises CommandError where the node does not answer or refuses."""
    if not url.startswith(("http://", "https://")):
        raise CommandError(f"{url} is not an http address")
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(  # noqa: S310  (the scheme was checked)
        url, body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            answer = json.load(response)
    except (OSError, ValueError) as error:
        raise CommandError(
            f"no node answers at {url} ({error}); start one with `cmt devnet` or `cmt node start`, or name "
            "another address with --rpc"
        ) from error
    match answer:
        case {"result": result}:
            return result
        case {"error": {"message": message}}:
            raise CommandError(f"{method}: {message}")
        case _:
            raise CommandError(f"what answers at {url} is no JSON-RPC server")
