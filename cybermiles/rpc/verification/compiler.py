"""solc in a process of its own: bounded memory, time and output, behind the node's own work, an empty directory to see.

The sources are strangers' text and compilers have bugs, so a run that goes wrong costs one verification. A small
launcher sets the limits and becomes the compiler; on a time-out its whole process group is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from cybermiles.rpc.verification.comparison import Compiled, Mismatch
from cybermiles.rpc.verification.submission import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cybermiles.rpc.verification.config import VerifyConfig
    from cybermiles.rpc.verification.submission import Submission

_LAUNCHER = """\
import os, resource, sys
memory, seconds, size, *command = sys.argv[1:]
for limit, value in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, size),
                     (resource.RLIMIT_CORE, 0)):
    resource.setrlimit(limit, (int(value), int(value)))
os.nice(10)
try:
    os.execvp(command[0], command)
except OSError as error:
    sys.exit(f"{command[0]}: {error.strerror}")
"""
_OUTPUT = ("abi", "metadata", "evm.bytecode.object", "evm.deployedBytecode")
_MIB = 1024 * 1024


class Solc:
    """Runs the configured compiler. `compile` blocks: it is called in a thread."""

    def __init__(self, config: VerifyConfig) -> None:
        self._command = config.solc
        self._limits = config.limits
        self._running: subprocess.Popen[bytes] | None = None
        self._is_stopped = False

    def compile(self, submission: Submission) -> Compiled:
        """Return what the sources compile to.

        Raises Mismatch where solc refuses the sources or lacks the contract, Refused where this node's compiler cannot
        be run or is of another version.
        """
        answer = self._run(submission)
        for error in answer.get("errors", ()):
            if error.get("severity") == "error":
                text = error.get("formattedMessage") or error.get("message") or "an error without a message"
                raise Mismatch(f"solc refuses the sources: {text[:1000]}")
        found = answer.get("contracts", {}).get(submission.path, {}).get(submission.name)
        if found is None:
            raise Mismatch(f"the sources have no contract {submission.path}:{submission.name}")
        version = str(orjson.loads(found.get("metadata") or "{}").get("compiler", {}).get("version", ""))
        if version.partition("+")[0] != submission.compiler.partition("+")[0] or (
            "+" in submission.compiler and version != submission.compiler
        ):
            raise Refused(f"this node compiles with solc {version}, not {submission.compiler} (verify.solc)")
        return _compiled(found, version)

    def stop(self) -> None:
        """End what runs, and every run that follows."""
        self._is_stopped = True
        if self._running is not None:
            _kill(self._running)

    def _run(self, submission: Submission) -> dict[str, Any]:
        selection = {submission.path: {submission.name: list(_OUTPUT)}}
        settings = submission.source["settings"] | {"outputSelection": selection}
        with tempfile.TemporaryDirectory(prefix="cmt-solc-") as directory:
            question, answer = Path(directory, "input.json"), Path(directory, "output.json")
            question.write_bytes(orjson.dumps(submission.source | {"settings": settings}))
            complaint = self._execute(self._words(submission.compiler), question, answer)
            output = answer.read_bytes()
        try:
            document = orjson.loads(output)
        except orjson.JSONDecodeError as error:
            raise Refused(f"the compiler of this node gave no answer (verify.solc): {complaint or error}") from error
        if not isinstance(document, dict):
            raise Refused("the compiler of this node does not speak solc's standard JSON (verify.solc)")
        return document

    def _words(self, version: str) -> list[str]:
        short = version.partition("+")[0]
        words = [word.replace("{version}", version).replace("{short}", short) for word in self._command]
        return [*words, "--standard-json"]

    def _execute(self, words: list[str], question: Path, answer: Path) -> str:
        """Run the command and return the last line of what it complains about. Raises Refused after its time."""
        limits = self._limits
        numbers = (limits.compile_memory_mb * _MIB, limits.compile_timeout_seconds, limits.compile_output_max_bytes)
        complaints = answer.with_name("complaints")
        with question.open("rb") as stdin, answer.open("wb") as stdout, complaints.open("wb") as stderr:
            process = subprocess.Popen(  # noqa: S603  (the operator's own command)
                [sys.executable, "-I", "-c", _LAUNCHER, *map(str, numbers), *words],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=answer.parent,
                env={"PATH": os.environ.get("PATH", os.defpath)},
                start_new_session=True,
            )
        self._running = process
        try:
            if self._is_stopped:
                raise Refused("the node stops")
            process.wait(limits.compile_timeout_seconds)
        except subprocess.TimeoutExpired as error:
            seconds = limits.compile_timeout_seconds
            raise Refused(f"solc took over {seconds} s (verify.compile_timeout_seconds)") from error
        finally:
            _kill(process)
            self._running = None
        lines = complaints.read_bytes()[-2000:].decode(errors="replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), f"exit code {process.returncode}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process group, if anything of it is left, and wait for its leader."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _compiled(found: Mapping[str, Any], version: str) -> Compiled:
    code = found["evm"]["deployedBytecode"]
    places = [place for group in code.get("immutableReferences", {}).values() for place in group]
    return Compiled(
        creation=_bytes(found["evm"]["bytecode"]["object"]),
        runtime=_bytes(code["object"]),
        immutables=tuple((place["start"], place["length"]) for place in places),
        abi=found["abi"],
        compiler=version,
    )


def _bytes(code: str) -> bytes:
    if not code:
        raise Mismatch("the contract is abstract or an interface, which is never deployed")
    try:
        return bytes.fromhex(code)
    except ValueError as error:
        raise Mismatch("the contract uses libraries whose addresses settings.libraries does not say") from error
