// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// Stores one of everything, so that a test can ask where solc put it.
contract StorageLayout {
    struct Window { uint64 since; uint32 missed; bool jailed; address owner; }
    struct Pool { uint256 tokens; uint256 shares; Window window; }

    uint256 total; // 0
    address foundation; // 1
    Window window; // 2, 3: an address does not fit behind 104 bits
    mapping(address => uint256) stakes; // 4
    mapping(uint256 => mapping(bytes32 => Pool)) pools; // 5
    mapping(bytes => uint256) keys; // 6
    uint256[] queue; // 7
    Pool[] list; // 8
    string short; // 9
    bytes long; // 10

    function fill(address who, bytes32 key, bytes calldata data) external {
        total = 12345;
        foundation = who;
        window = Window(1, 2, true, who);
        stakes[who] = 77;
        pools[9][key] = Pool(10, 11, Window(12, 13, true, who));
        keys[data] = 88;
        for (uint256 i = 0; i < 3; i++) queue.push(100 + i);
        for (uint256 i = 0; i < 2; i++) list.push(Pool(20 + i, 30 + i, Window(uint64(40 + i), 0, false, who)));
        short = "thirty-one bytes, no byte more!";
        long = data;
    }

    function texts(string calldata a, bytes calldata b) external {
        short = a;
        long = b;
    }
}
