// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// What the Foundry and Hardhat tests deploy.
contract Counter {
    error TooMuch(uint256 asked, uint256 allowed);

    uint256 public count;

    event Counted(address indexed by, uint256 count);

    constructor(uint256 start) {
        count = start;
    }

    function add(uint256 amount) external returns (uint256) {
        if (amount > 100) revert TooMuch(amount, 100);
        count += amount;
        emit Counted(msg.sender, count);
        return count;
    }

    function refuse() external pure {
        revert("out of stock");
    }
}
