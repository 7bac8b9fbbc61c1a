// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import "ICmtFees.sol";

/// A target of sponsorship, with everything a target may try.
contract SponsoredShop {
    ICmtFees constant FEES = ICmtFees(0x0000000000000000000000000000000000434D06);
    uint256 public sold;

    event Price(uint256 price, uint256 deposit);

    constructor(address owner) payable {
        if (owner != address(0)) FEES.setSponsorOwner(address(this), owner);
    }

    receive() external payable {}

    function buy() external payable {
        sold += 1;
        emit Price(tx.gasprice, FEES.sponsorBudget(address(this)).balance);
    }

    function fail() external {
        sold += 1;
        revert("sold out");
    }

    /// Uses all gas there is.
    function burn() external {
        while (true) sold += 1;
    }

    function spin(uint256 rounds) external returns (uint256 sum) {
        for (uint256 i = 0; i < rounds; i++) sum += i;
        sold = sum;
    }

    /// What a target may do about itself, also in the middle of a transaction that its deposit pays for.
    function act(bytes calldata data) external payable returns (bytes memory) {
        (bool ok, bytes memory result) = address(FEES).call{value: msg.value}(data);
        if (!ok) assembly ("memory-safe") { revert(add(result, 32), mload(result)) }
        return result;
    }

    /// CREATE for salt 0, else CREATE2.
    function make(bytes memory code, uint256 salt) external returns (address made) {
        assembly ("memory-safe") {
            switch salt
            case 0 { made := create(0, add(code, 32), mload(code)) }
            default { made := create2(0, add(code, 32), mload(code), salt) }
        }
    }
}
