"""Staking, slashing, governance, vesting and fees as contracts: native Python behind Solidity ABIs."""
