"""The ABCI-shaped application: what a consensus engine drives. It knows blocks, state and the mempool."""
