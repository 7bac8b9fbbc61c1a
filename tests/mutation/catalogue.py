"""All planted bugs."""

from __future__ import annotations

from tests.mutation import core_mutations, host_mutations, protocol_mutations, sync_mutations

MUTATIONS = (
    *protocol_mutations.MUTATIONS,
    *core_mutations.MUTATIONS,
    *host_mutations.MUTATIONS,
    *sync_mutations.MUTATIONS,
)
