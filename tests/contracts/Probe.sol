// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// Small behaviours that tests ask a node about: revert reasons, custom errors, panics, block opcodes, storage.
contract Probe {
    error Refused(address who, uint256 amount);

    uint256 public stored;

    event Stored(address indexed by, uint256 value);

    function store(uint256 value) external {
        stored = value;
        emit Stored(msg.sender, value);
    }

    function revertWithReason() external pure {
        revert("out of stock");
    }

    function revertWithError() external view {
        revert Refused(msg.sender, 42);
    }

    function panic(uint256 divisor) external pure returns (uint256) {
        return 1 / divisor;
    }

    function spin(uint256 rounds) external view returns (uint256 sum) {
        for (uint256 i = 0; i < rounds; i++) sum += i ^ block.number;
    }

    function environment() external view returns (uint256, uint256, uint256, uint256, address, uint256, uint256) {
        return (block.number, block.timestamp, block.chainid, block.basefee, block.coinbase, tx.gasprice, block.gaslimit);
    }

    function hashOf(uint256 number) external view returns (bytes32) {
        return blockhash(number);
    }
}
