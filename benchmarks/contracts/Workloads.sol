// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Two loops that bound what contracts do: one that writes storage, one that computes.
contract Workloads {
    mapping(uint256 => uint256) public values;
    uint256 public last;

    /// Writes `count` fresh words.
    function store(uint256 count, uint256 salt) external {
        for (uint256 i = 0; i < count; i++) values[salt * 1000 + i] = i + 1;
    }

    /// Sorts `count` pseudo-random numbers in memory by insertion and keeps a hash of them.
    function compute(uint256 count, uint256 seed) external {
        uint256[] memory numbers = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            unchecked { seed = seed * 6364136223846793005 + 1442695040888963407; }
            uint256 value = (seed >> 33) % 1000;
            uint256 at = i;
            while (at > 0 && numbers[at - 1] > value) {
                numbers[at] = numbers[at - 1];
                at--;
            }
            numbers[at] = value;
        }
        last = uint256(keccak256(abi.encode(numbers)));
    }
}
