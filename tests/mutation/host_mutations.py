"""Bugs around the core: the log, the signer, replay, values, the runner. Their unit tests must find each."""

from __future__ import annotations

from functools import partial

from tests.mutation import mutation

HOST = "cybermiles/consensus"
UNITS = tuple(
    f"tests/unit/consensus/test_{name}.py"
    for name in (
        "wal",
        "killed_then_power_lost",
        "values",
        "lookback",
        "application_calls",
        "inbox",
        "privval",
        "replay",
        "runner",
        "durability",
    )
)
"""The quick ones first."""
Mutation = partial(mutation.Mutation, killers=UNITS)

SPEAKER, HEIGHT, WAL, SIGNER, REPLAY, VALUES, RUNNER, GATE, RECORDS, DELIVERIES, INTAKE = (
    f"{HOST}/{name}.py"
    for name in (
        "speaker", "height", "wal", "privval", "replay", "values", "runner", "gate", "records", "deliveries", "intake",
    )
)  # fmt: skip

MUTATIONS = (
    # Durability
    Mutation(
        "a vote is signed before the log is synced",
        SPEAKER,
        "        await wal.flush()\n        subject = (asked.type,",
        "        subject = (asked.type,",
    ),
    Mutation(
        "a proposal is signed before the log is synced",
        SPEAKER,
        "        await wal.flush()\n        subject = (asked.height, asked.round, asked.pol_round,",
        "        subject = (asked.height, asked.round, asked.pol_round,",
    ),
    Mutation("the log is written and not synced", WAL, "            self._directory.sync(self._name)\n            if not", "            if not"),
    Mutation("the log's name is not synced", WAL, "                self._directory.sync_names()\n", ""),
    Mutation("a decision is finalized before the log is synced", HEIGHT, "        if self.engine.is_voting:\n            await self._wal.flush()\n", ""),
    Mutation(
        "the log goes before the block is durable",
        HEIGHT,
        "        await application.commit(decision)\n        await self._wal.remove()\n",
        "        await self._wal.remove()\n        await application.commit(decision)\n",
    ),
    Mutation("the signer returns before its state is synced", SIGNER, "        directory.sync(temporary)\n", ""),
    Mutation("the signer's rename is not synced", SIGNER, "        directory.rename(temporary, name)\n        directory.sync_names()\n", "        directory.rename(temporary, name)\n"),
    Mutation(
        "the signer's state is overwritten in place",
        SIGNER,
        "        directory.replace(temporary, json.dumps(document, indent=1).encode())\n        directory.sync(temporary)\n        directory.rename(temporary, name)\n",
        "        directory.replace(name, json.dumps(document, indent=1).encode())\n        directory.sync(name)\n",
    ),
    Mutation(
        "the engine takes an input before it is logged",
        HEIGHT,
        "            self._wal.append(encode_entry(entry))\n",
        "            self._wal.append(encode_entry(self._entries[-2] if len(self._entries) > 1 else entry))\n",
    ),
    Mutation(
        "timeouts are not logged",
        HEIGHT,
        "            self._wal.append(encode_entry(entry))\n",
        "            if not isinstance(input_, TimeoutElapsed):\n                self._wal.append(encode_entry(entry))\n",
    ),
    Mutation(
        "certificates are not logged",
        HEIGHT,
        "            self._wal.append(encode_entry(entry))\n",
        "            if not isinstance(input_, CertificateReceived):\n                self._wal.append(encode_entry(entry))\n",
    ),
    Mutation("the built block is not logged", HEIGHT, "await self._feed(built, outcome.value)", "await self._feed(built)"),
    # The signer
    Mutation("the signer signs one place twice", SIGNER, "if position <= state.position:", "if position < state.position:"),
    Mutation("the signer looks at the height only", SIGNER, "if position <= state.position:", "if position[0] < state.position[0]:"),
    Mutation("the signer forgets the step", SIGNER, "if position <= state.position:", "if position[:2] < state.position[:2]:"),
    Mutation("the signer repeats its signature for any bytes", SIGNER, "if position == state.position and state.sign_bytes == sign_bytes.hex():", "if position == state.position:"),
    Mutation("the signer takes any chain's state", SIGNER, "if (state.chain_id, state.genesis_hash) != (chain_id, genesis_hash.hex()):", "if state.chain_id != chain_id:"),
    Mutation("an old state of the signer goes unnoticed", f"{HOST}/lookback.py", "if signer.last_signed >= (commit.height, commit.round, Step.PRECOMMIT):", "if signer.last_signed[0] >= 0:"),
    # The log
    Mutation("damage in the middle is cut off like a torn end", WAL, "        if is_damaged:\n            raise StorageError(", "        if is_damaged:\n            break\n        if False:\n            raise StorageError("),
    Mutation("a torn end is not cut off", WAL, "            directory.truncate(name, good)\n", "            pass\n"),
    Mutation("frames that only the kernel has are trusted, and so is the cut", WAL, "        if data:\n", "        if not data:\n"),
    Mutation("a signer state that only the kernel has is trusted", SIGNER, "            _settle(directory, state_name)\n", ""),
    Mutation("blocks may imitate frames", WAL, "return MARKER + content.replace(MAGIC, _ESCAPED)", "return MARKER + content"),
    Mutation("checksums are not compared", WAL, "if (MARKER + segment).startswith(encoded) else None", "if records else None"),
    # Replay
    Mutation("replay asks for own votes again", REPLAY, "if self.open.pop((SignVote, vote.round, vote.type), None) is not None:", "if (SignVote, vote.round, vote.type) in self.open:"),
    Mutation("replay forgets the timers", REPLAY, "timers=tuple(book.timers.values()),", "timers=(),"),
    Mutation("replay forgets the decision", REPLAY, "                self.open[Decide,] = effect\n", "                pass\n"),
    Mutation("replay performs the last first", REPLAY, "open=tuple(book.open.values()),", "open=tuple(book.open.values())[::-1],"),
    Mutation("replay starts with the last entry", REPLAY, "    for entry in entries:\n        input_ =", "    for entry in (entries[0], *entries[:0:-1]):\n        input_ ="),
    Mutation("a log that lacks what was signed is trusted", HEIGHT, "if last_signed > (self.height, *replayed.last_position):", "if False:"),
    Mutation("a lost log is not noticed", RUNNER, "self._voting.mute(info, is_lost=last_signed >= (host.height, 0, 0))", "self._voting.mute(info, is_lost=False)"),
    # Values
    Mutation("a refusal is about the hash, not the parts", VALUES, "accepted = verdict is not None and verdict.accepted and verdict.block_hash == block_hash", "accepted = verdict is not None and verdict.accepted"),
    Mutation("parts are taken under any header of their root", VALUES, "if header.id == parts_id), None)", "), None)"),
    Mutation("parts that overtake are lost", VALUES, "            self._orphans.append((message, source))\n", "            pass\n"),
    Mutation("the block that is needed makes room", VALUES, "if not any(block_hash in needed for block_hash in announced.block_hashes):", "if True:"),
    # The runner
    Mutation("signatures of votes are not checked", INTAKE, "if all(answers[position : position + len(checks)]):", "if True:"),
    Mutation("a synced commit's signatures are not checked", INTAKE, "            if not is_right:\n", "            if False:\n"),
    Mutation("a synced commit needs no quorum", INTAKE, "if not validators.has_quorum(power):", "if False:"),
    Mutation("a synced block need not be the commit's", HEIGHT, "if verdict.block_hash != commit.block_hash:", "if False:"),
    Mutation("one vote starts a height", GATE, "return self._is_proposed or info.validators.has_honest(power)", "return self._is_proposed or power > 0"),
    Mutation("a node that is behind votes", f"{HOST}/voting.py", "if is_catching_up or self._is_muted:", "if self._is_muted:"),
    Mutation("a node that caught up stays silent", RUNNER, "if host.is_following and await self._may_vote(host.info):", "if False:"),
    Mutation("late precommits are dropped", f"{HOST}/inbox.py", "if isinstance(message, Vote) and message.type is VoteType.PRECOMMIT:", "if False:"),
    Mutation("late precommits do not count", RUNNER, "return self._host.engine.commit() or self._last_commit", "return self._last_commit"),
    Mutation("early messages are lost at the start", f"{HOST}/inbox.py", "        self._current.extend(self._early)\n", ""),
    Mutation("the application's calls overlap", f"{HOST}/application_calls.py", "if self._running is None and self._waiting:", "if self._waiting:"),
    Mutation("the height is committed while the application is busy", RUNNER, "        await self._calls.settle()\n", ""),
)  # fmt: skip
