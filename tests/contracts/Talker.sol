// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// Says things with Solidity's console, as hardhat/console.sol does.
contract Talker {
    address private constant CONSOLE = 0x000000000000000000636F6e736F6c652e6c6f67;

    uint256 public count;

    constructor() {
        _log(abi.encodeWithSignature("log(string,address)", "deployed by", msg.sender));
    }

    function say(uint256 amount) external {
        count += amount;
        _log(abi.encodeWithSignature("log(string,uint256)", "count is", count));
    }

    function sayAndRevert() external pure {
        _log(abi.encodeWithSignature("log(string)", "before the revert"));
        revert("said");
    }

    function _log(bytes memory payload) private pure {
        function(bytes memory) view input = _send;
        function(bytes memory) pure output;
        assembly {
            output := input
        }
        output(payload);
    }

    function _send(bytes memory payload) private view {
        address console = CONSOLE;
        assembly {
            pop(staticcall(gas(), console, add(payload, 32), mload(payload), 0, 0))
        }
    }
}
