"""`rpc.jobs.JobSource` over the database: committed data together with an EVM to execute on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.application.history import CommittedHistory
from cybermiles.execution.parent import Parent
from cybermiles.execution.replay import replay_block
from cybermiles.node.chain_view import ChainView
from cybermiles.rpc.ports import StateUnavailable

if TYPE_CHECKING:
    from cybermiles.chain.params import ChainParams
    from cybermiles.execution.parent import Chain
    from cybermiles.execution.replay import Replay
    from cybermiles.storage.database import Database


class LocalSource(ChainView):
    """A `ChainView` that can execute. Belongs to one thread, as its EVM does; it knows no pool."""

    def __init__(self, database: Database, chain: Chain, params: ChainParams) -> None:
        super().__init__(database, chain.chain_id, params, tuple)
        self._constants = chain

    @property
    def constants(self) -> Chain:
        return self._constants

    def parent(self, height: int) -> Parent:
        header = self.header(height)
        if header is None:
            raise StateUnavailable(f"there is no block {height} yet")
        rotation = self._database.validators.rotation
        return Parent(
            header=header,
            state=self.state(height),
            nodes=self._database.nodes,
            params=self.params_at(height),
            history=CommittedHistory(self._database),
            validators=rotation(height + 1).validators,
            next_validators=rotation(height + 2).validators,
        )

    def replay(self, height: int) -> Replay:
        block = self.block(height)
        if block is None:
            raise StateUnavailable(f"there is no block {height} that could be executed again")
        return replay_block(self._constants, self.parent(height - 1), block, self.outcomes(height))
