// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.20 <0.9.0;

/// A system contract that exists in tests only: one method for each thing that the frame must do right.
interface INativeDemo {
    enum Choice { None, Yes, No }
    struct Entry { uint64 when; address who; string note; }
    struct Everything { Choice choice; bool flag; int16 small; bytes4 tag; bytes data; string text; uint8[2] pair; Entry[] entries; }

    function put(uint256 key, uint256 value) external returns (uint256 before);
    function get(uint256 key) external view returns (uint256);
    function whoAmI() external view returns (address sender, uint256 height, uint256 timestamp);
    function deposit() external payable returns (uint256 balance);
    function pay(address to, uint256 amount) external returns (uint256 left);
    function echo(Everything calldata given, uint32 number) external pure returns (Everything memory, uint32);
    function list(uint256 count) external view returns (uint256[] memory);
    /// Does everything a method can do, then refuses.
    function refuse(address who, uint256 amount, string calldata why) external payable;

    event Put(address indexed by, uint256 indexed key, uint256 value);
    error Refused(address who, uint256 amount, string why);
}
