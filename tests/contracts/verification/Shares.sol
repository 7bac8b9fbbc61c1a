// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

library Shares {
    function without(uint256 amount, uint256 ppm) external pure returns (uint256) {
        return amount - (amount * ppm) / 1_000_000;
    }
}
