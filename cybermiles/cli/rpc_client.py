"""A minimal JSON-RPC client for the commands that ask a running node."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from cybermiles.cli.output import CommandError

TIMEOUT_SECONDS = 10
REVERTED = 3
"""Error code of a call that a contract refused; `data` says why."""


class RpcRefusal(CommandError):
    """The node answered with an error."""

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        super().__init__(f"{method}: {error['message']}")
        self.code = error.get("code")
        self.data = error.get("data")


def call(url: str, method: str, *params: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """Return the result of a request. Raises CommandError where no node answers, RpcRefusal where it refuses."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    answer = _open(url, body)
    match answer:
        case {"result": result}:
            return result
        case {"error": {"message": str()} as error}:
            raise RpcRefusal(method, error)
        case _:
            raise CommandError(f"what answers at {url} is no JSON-RPC server")


def fetch_status(url: str) -> dict[str, Any]:
    """Return what a node's `/status` shows. Raises CommandError where the node does not answer."""
    answer = _open(url.rstrip("/") + "/status", None)
    if not isinstance(answer, dict) or "sync_info" not in answer:
        raise CommandError(f"what answers at {url} is no node of this chain")
    return answer


def post_form(url: str, query: dict[str, str], form: dict[str, str] | None) -> dict[str, Any]:
    """Return what an Etherscan-shaped API answers to a form, or to the query alone. Raises CommandError."""
    body = None if form is None else urllib.parse.urlencode(form).encode()
    answer = _open(f"{url}?{urllib.parse.urlencode(query)}", body, "application/x-www-form-urlencoded")
    if not isinstance(answer, dict) or not {"status", "message", "result"} <= set(answer):
        raise CommandError(f"what answers at {url} is no Etherscan-shaped API; is verify.enabled set at the node?")
    return answer


def _open(url: str, body: bytes | None, content_type: str = "application/json") -> Any:  # noqa: ANN401  (any JSON value)
    if not url.startswith(("http://", "https://")):
        raise CommandError(f"{url} is not an http address")
    request = urllib.request.Request(  # noqa: S310  (the scheme was checked)
        url, body, {"Content-Type": content_type}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise CommandError(_refusal_in(url, error)) from error
    except (OSError, ValueError) as error:
        raise CommandError(
            f"no node answers at {url} ({error}); start one with `cmt devnet` or `cmt node start`, or name "
            "another address with --rpc"
        ) from error


def _refusal_in(url: str, error: urllib.error.HTTPError) -> str:
    """Return what a server says with an HTTP error, which for ours is a JSON-RPC error."""
    try:
        said = json.load(error)["error"]["message"]
    except (OSError, ValueError, KeyError, TypeError):
        said = error.reason
    return f"{url} refuses: {said} (HTTP {error.code})"
