// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import "./INativeDemo.sol";

/// Calls the demonstrator in every way Solidity can.
contract NativeCaller {
    INativeDemo immutable demo;
    uint256 public received;
    uint256 public constructed;
    uint256 private _hook;

    event Mark(uint256 number);

    constructor(INativeDemo target) payable {
        demo = target;
        constructed = target.put(1000, 1);
    }

    receive() external payable {
        received += msg.value;
        demo.put(_hook, 666);
    }

    function read(uint256 key) external view returns (uint256) {
        return demo.get(key);
    }

    function who() external view returns (address, uint256, uint256) {
        return demo.whoAmI();
    }

    function write(uint256 key, uint256 value) external returns (uint256) {
        return demo.put(key, value);
    }

    function echo(INativeDemo.Everything calldata given, uint32 number) external view returns (INativeDemo.Everything memory, uint32) {
        return demo.echo(given, number);
    }

    /// A call of any kind: 0 CALL, 1 STATICCALL, 2 DELEGATECALL, 3 CALLCODE; the gas it took from this frame.
    function raw(uint256 kind, address target, uint256 limit, uint256 value, bytes memory data)
        public returns (bool ok, bytes memory output, uint256 spent)
    {
        assembly ("memory-safe") {
            let start := add(data, 32)
            let size := mload(data)
            let before := gas()
            switch kind
            case 0 { ok := call(limit, target, value, start, size, 0, 0) }
            case 1 { ok := staticcall(limit, target, start, size, 0, 0) }
            case 2 { ok := delegatecall(limit, target, start, size, 0, 0) }
            default { ok := callcode(limit, target, value, start, size, 0, 0) }
            spent := sub(before, gas())
            output := mload(0x40)
            mstore(output, returndatasize())
            returndatacopy(add(output, 32), 0, returndatasize())
            mstore(0x40, add(add(output, 32), and(add(returndatasize(), 31), not(31))))
        }
    }

    /// The same call after the account was touched, so that it is warm.
    function rawWarm(uint256 kind, address target, uint256 limit, uint256 value, bytes calldata data)
        external returns (bool ok, bytes memory output, uint256 spent)
    {
        if (target.balance == type(uint256).max) revert();
        return raw(kind, target, limit, value, data);
    }

    function tryRefuse(address to, uint256 amount, string calldata why)
        external payable returns (bytes memory refusal, uint256 balance, uint256 word)
    {
        emit Mark(1);
        try demo.refuse{value: msg.value}(to, amount, why) {
            refusal = "did not refuse";
        } catch (bytes memory data) {
            refusal = data;
        }
        emit Mark(2);
        return (refusal, address(this).balance, demo.get(7));
    }

    function undone(uint256 key, uint256 value) external {
        demo.put(key, value);
        emit Mark(3);
        revert("undone");
    }

    function ordered(uint256 key) external {
        emit Mark(1);
        demo.put(key, 1);
        emit Mark(2);
        try this.undone(key, 99) {} catch {}
        demo.put(key, 2);
        emit Mark(3);
        demo.put(key + 1, 3);
    }

    /// The demonstrator pays this contract, whose receive() would call it again.
    function takePayment(uint256 amount, uint256 hook) external returns (uint256) {
        _hook = hook;
        return demo.pay(address(this), amount);
    }

    function stipend() external payable returns (bool sent, bool called) {
        sent = payable(address(demo)).send(msg.value / 2);
        (called, ) = address(demo).call{value: msg.value / 2, gas: 0}(abi.encodeCall(demo.deposit, ()));
    }

    function dive(uint256 frames, uint256 key) external returns (bool ok) {
        if (frames > 0) return this.dive(frames - 1, key);
        bytes memory data = abi.encodeCall(demo.put, (key, frames + 1));
        (ok, ) = address(demo).call(data);
    }
}
