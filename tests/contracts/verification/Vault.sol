// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Shares} from "./Shares.sol";

/// A contract with what deployment fills in: immutables, a constructor's arguments, a library's address.
contract Vault {
    using Shares for uint256;

    address public immutable owner;
    uint256 public immutable fee;
    string public name;

    error Closed(uint256 until);

    constructor(uint256 fee_, string memory name_) {
        owner = msg.sender;
        fee = fee_;
        name = name_;
    }

    function quote(uint256 amount) external view returns (uint256) {
        return amount.without(fee);
    }

    function close(uint256 until) external pure {
        revert Closed(until);
    }
}
