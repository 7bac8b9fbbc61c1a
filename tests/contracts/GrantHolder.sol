// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import "ICmtVesting.sol";

/// A contract that holds a grant.
contract GrantHolder {
    ICmtVesting constant VESTING = ICmtVesting(0x0000000000000000000000000000000000434d05);

    function release() external returns (uint256) {
        return VESTING.release();
    }

    function stake(address validator, uint256 amount) external returns (uint256) {
        return VESTING.delegateLocked(validator, amount);
    }

    function leave(address validator, uint256 amount) external returns (uint256 exitId, uint64 releaseTime) {
        return VESTING.undelegateLocked(validator, amount);
    }

    /// Everything is undone by a revert around it.
    function stakeAndRegret(address validator, uint256 amount) external {
        try this.stakeAndFail(validator, amount) {} catch {}
    }

    function stakeAndFail(address validator, uint256 amount) external {
        VESTING.delegateLocked(validator, amount);
        revert("regret");
    }

    function read() external view returns (ICmtVesting.Grant memory grant, uint256 locked, uint256 releasable) {
        return (VESTING.grantOf(address(this)), VESTING.locked(address(this)), VESTING.releasable(address(this)));
    }
}
