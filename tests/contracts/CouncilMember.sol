// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

interface IGovernance {
    enum Choice { None, Yes, No }
    struct Recovery { address from; uint256 amount; bytes32 victimsRoot; bytes32 evidenceHash; }
    function proposeRecovery(Recovery calldata r, string calldata title, string calldata reason, uint64 closesTime) external payable returns (uint256 id);
    function proposeParam(string calldata name, string calldata newValue, uint64 fromBlock, string calldata title, string calldata reason, uint64 closesTime) external payable returns (uint256 id);
    function vote(uint256 id, Choice choice) external;
    function claim(uint256 id, address victim, uint256 amount, bytes32[] calldata proof) external returns (uint256 paid);
    function proposalCount() external view returns (uint256);
    function voteOf(uint256 id, address voter) external view returns (Choice choice, uint256 power, uint64 atBlock);
    function param(string calldata name) external view returns (string memory, string memory, string memory, string memory, bool);
    function held(address account) external view returns (bool frozen, uint64 since, uint64 untilTime, uint64 secondsUsed);
    error BondTooLow(uint256 need);
    error NotAMember();
}

interface IStaking {
    function delegate(address validator) external payable returns (uint256 stakeNow);
}

/// A contract that is a member: it delegates, proposes, votes, is a victim, and holds loot that may be frozen.
contract CouncilMember {
    IGovernance constant governance = IGovernance(0x0000000000000000000000000000000000434d04);
    IStaking constant staking = IStaking(0x0000000000000000000000000000000000434d01);
    uint256 public needed;
    bool public refused;

    receive() external payable {}

    function stake(address validator, uint256 amount) external {
        staking.delegate{value: amount}(validator);
    }

    function proposeParam(string calldata name, string calldata value, uint256 bond) external returns (uint256) {
        return governance.proposeParam{value: bond}(name, value, 0, "by a contract", "", 0);
    }

    /// Proposes with too little, catches the typed error, and proposes again with what it says.
    function proposeByTrying(string calldata name, string calldata value) external returns (uint256 id) {
        try governance.proposeParam{value: 1}(name, value, 0, "t", "r", 0) returns (uint256) {
            revert("accepted");
        } catch (bytes memory data) {
            require(bytes4(data) == IGovernance.BondTooLow.selector, "another error");
            assembly ("memory-safe") { sstore(needed.slot, mload(add(data, 36))) }
        }
        return governance.proposeParam{value: needed}(name, value, 0, "t", "r", 0);
    }

    function proposeAndRevert(string calldata name, string calldata value, uint256 bond) external {
        governance.proposeParam{value: bond}(name, value, 0, "t", "r", 0);
        revert("undone");
    }

    function vote(uint256 id, IGovernance.Choice choice) external {
        governance.vote(id, choice);
    }

    function tryVote(uint256 id) external {
        try governance.vote(id, IGovernance.Choice.Yes) {} catch (bytes memory data) {
            refused = bytes4(data) == IGovernance.NotAMember.selector;
        }
    }

    function claimForMe(uint256 id, uint256 amount, bytes32[] calldata proof) external returns (uint256) {
        return governance.claim(id, address(this), amount, proof);
    }

    function pay(address to, uint256 amount) external returns (bool ok) {
        (ok, ) = to.call{value: amount}("");
    }

    function destroy(address payable to) external {
        selfdestruct(to);
    }

    function read(uint256 id) external view returns (uint256 count, uint256 power, string memory slots, bool frozen) {
        count = governance.proposalCount();
        (, power, ) = governance.voteOf(id, address(this));
        (slots, , , , ) = governance.param("free_slots_per_block");
        (frozen, , , ) = governance.held(address(this));
    }
}
