"""Takes submissions, works on one at a time, remembers what came of them.

    submit ─► bounded queue ─► run: find the code (loop) ─► judge: compile and compare (thread) ─► store ─► outcome

Without a compiler, or where the compiler at hand is of another version, metadata that came along is compared; that
match is the weakest and is labelled so wherever it is shown.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import orjson

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import CybermilesError
from cybermiles.rpc.verification.comparison import Match, Mismatch, OnChain, Verdict, compare
from cybermiles.rpc.verification.compiler import Solc
from cybermiles.rpc.verification.creation import code_at, find_creation
from cybermiles.rpc.verification.metadata import ipfs_multihash, trailer_of
from cybermiles.rpc.verification.store import Record, StoreFull, VerifiedStore
from cybermiles.rpc.verification.submission import Refused, source_hashes
from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from pathlib import Path

    from cybermiles.rpc.ports import ChainReader
    from cybermiles.rpc.verification.config import VerifyConfig
    from cybermiles.rpc.verification.creation import Creation
    from cybermiles.rpc.verification.submission import Submission
    from cybermiles.runtime.clock import Clock
    from cybermiles.runtime.executor import Worker
    from cybermiles.types.primitives import Address

log = get_logger("verify")


class AlreadyVerified(CybermilesError):
    """The contract's sources are known, as surely as they can be."""


class Outcome(NamedTuple):
    """What came of a submission."""

    match: Match | None
    """None where nothing matched."""
    reason: str
    """Why not."""


class VerificationService:
    """One node's verified contracts. `run` works until it is cancelled."""

    def __init__(
        self, config: VerifyConfig, *, chain: ChainReader, directory: Path, worker: Worker, clock: Clock
    ) -> None:
        self.limits = config.limits
        self._chain = chain
        self._store = VerifiedStore(directory, contracts_max=config.limits.contracts_max)
        self._solc = Solc(config) if config.solc else None
        self._worker = worker
        self._clock = clock
        self._queue: asyncio.Queue[tuple[str, Submission]] = asyncio.Queue(config.limits.queue_max)
        self._outcomes: dict[str, Outcome | None] = {}
        self._count = 0

    async def submit(self, submission: Submission) -> str:
        """Return the number to ask for the outcome by.

        Raises Refused, and AlreadyVerified where this node could not be surer than it is.
        """
        if self._queue.full():
            raise Refused(f"{self.limits.queue_max} submissions wait already; try again later (verify.queue_max)")
        code = self._code(submission.address)
        if not code:
            raise Refused(f"Unable to locate ContractCode at 0x{submission.address.hex()}")
        known = await self._worker.run(self._store.load, submission.address, _hash(code))
        best = Match.METADATA if self._solc is None else Match.FULL
        if known is not None and known.match.rank >= best.rank:
            raise AlreadyVerified
        self._count += 1
        number = keccak256(submission.address + self._count.to_bytes(8) + self._clock.now_ms().to_bytes(8)).hex()[:50]
        while len(self._outcomes) >= self.limits.results_max:
            del self._outcomes[next(iter(self._outcomes))]
        try:
            self._queue.put_nowait((number, submission))
        except asyncio.QueueFull as error:
            raise Refused(f"{self.limits.queue_max} submissions wait already (verify.queue_max)") from error
        self._outcomes[number] = None
        return number

    def outcome(self, number: str) -> Outcome | None:
        """Return what came of a submission, None while it waits. Raises KeyError for a number that is not known."""
        return self._outcomes[number]

    async def record(self, address: Address) -> Record | None:
        """Return what is known of a contract that exists. Raises CybermilesError for a damaged file."""
        code = self._code(address)
        return await self._worker.run(self._store.load, address, _hash(code)) if code else None

    async def creation(self, address: Address) -> Creation | None:
        """Return how a contract came to be, None where that is not known."""
        return await find_creation(self._chain, address) if self._code(address) else None

    async def run(self) -> NoReturn:
        """Work on what is submitted until cancelled."""
        try:
            while True:
                number, submission = await self._queue.get()
                outcome = await self._work(submission)
                if number in self._outcomes:
                    self._outcomes[number] = outcome
        finally:
            if self._solc is not None:
                self._solc.stop()

    async def _work(self, submission: Submission) -> Outcome:
        address = "0x" + submission.address.hex()
        try:
            match = await self._verify(submission)
        except (Mismatch, Refused, StoreFull) as error:
            log.info("contract_not_verified", address=address, reason=str(error)[:200])
            return Outcome(None, str(error))
        except (CybermilesError, OSError, LookupError, TypeError, ValueError, AttributeError):
            # A stranger's sources, or a compiler's odd answer, cost a verification and never the node.
            log.exception("verification_failed", address=address)
            return Outcome(None, "this node could not work on it; its log says why")
        log.info("contract_verified", address=address, match=match.value)
        return Outcome(match, "")

    async def _verify(self, submission: Submission) -> Match:
        code = self._code(submission.address)
        creation = await find_creation(self._chain, submission.address)
        chain = OnChain(code, None if creation is None else creation.data)
        known = await self._worker.run(self._store.load, submission.address, _hash(code))
        verdict, record = await self._worker.run(judge, submission, chain, self._solc, self._clock.now_ms())
        if known is None or verdict.match.rank > known.match.rank:
            await self._worker.run(self._store.save, submission.address, record)
        return verdict.match

    def _code(self, address: Address) -> bytes:
        return code_at(self._chain, address, self._chain.head_height())


def judge(submission: Submission, chain: OnChain, solc: Solc | None, now_ms: int) -> tuple[Verdict, Record]:
    """Return how surely the sources are the contract's, and what to store. Raises Mismatch or Refused."""
    compiler, abi = submission.compiler, None
    if solc is None:
        verdict, abi = compare_metadata(submission, chain)
    else:
        compiled = solc.compile(submission)
        verdict, abi, compiler = compare(compiled, chain, submission.arguments), list(compiled.abi), compiled.compiler
    record = Record(
        code_hash=_hash(chain.runtime),
        match=verdict.match,
        path=submission.path,
        name=submission.name,
        compiler=compiler,
        source=submission.source,
        abi=abi,
        arguments=verdict.arguments.hex(),
        is_creation_checked=verdict.is_creation_checked,
        verified_ms=now_ms,
    )
    return verdict, record


def compare_metadata(submission: Submission, chain: OnChain) -> tuple[Verdict, list[Any]]:
    """Return the verdict that needs no compiler, and the ABI that the metadata says. Raises Mismatch or Refused."""
    if submission.metadata is None:
        raise Refused(
            "this node has no compiler (verify.solc), so it needs solc's metadata of the contract: submit with "
            "`cmt contract verify`, or ask a node that compiles"
        )
    trailer = trailer_of(chain.runtime)
    if trailer is None or trailer.ipfs is None:
        raise Mismatch("the deployed code names no IPFS hash of its metadata, so only a compiler can tell")
    if ipfs_multihash(submission.metadata.encode()) != trailer.ipfs:
        raise Mismatch("the submitted metadata is not the one whose hash stands behind the deployed code")
    try:
        document = orjson.loads(submission.metadata)
        hashes = {path: unit["keccak256"] for path, unit in document["sources"].items()}
        target, abi = document["settings"]["compilationTarget"], list(document["output"]["abi"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Mismatch("the metadata is not what solc writes") from error
    if target != {submission.path: submission.name}:
        raise Mismatch("the metadata is another contract's")
    sources = source_hashes(submission.source)
    for path, expected in hashes.items():
        if sources.get(path) != expected:
            raise Mismatch(f"the source {path} is not the one that the metadata names")
    verdict = Verdict(match=Match.METADATA, arguments=submission.arguments, is_creation_checked=False)
    return verdict, abi


def _hash(code: bytes) -> str:
    return "0x" + keccak256(code).hex()
