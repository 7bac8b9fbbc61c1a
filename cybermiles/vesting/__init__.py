"""Genesis allocations under lock, on the storage of the vesting contract and nothing else."""
