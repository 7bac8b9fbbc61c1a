// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Counter} from "../src/Counter.sol";

interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
}

/// Two transactions, as `forge script --broadcast` sends them. No library: nothing is downloaded for the test.
contract Deploy {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    bool public constant IS_SCRIPT = true;

    function run() external returns (Counter counter) {
        vm.startBroadcast();
        counter = new Counter(40);
        counter.add(2);
        vm.stopBroadcast();
        require(counter.count() == 42, "the script counts wrong");
    }
}
