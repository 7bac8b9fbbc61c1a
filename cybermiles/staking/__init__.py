"""The rules of delegated proof of stake, on the storage of the staking contract and nothing else."""
