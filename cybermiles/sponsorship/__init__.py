"""Deposits that pay for other people's gas, on the storage of the fees contract and nothing else."""
