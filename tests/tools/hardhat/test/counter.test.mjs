import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { network } from "hardhat";

const { ethers } = await network.create("devnet");

describe("Counter", () => {
  it("counts and tells of it", async () => {
    const counter = await ethers.deployContract("Counter", [1n]);
    await counter.waitForDeployment();
    const receipt = await (await counter.add(4n)).wait();
    assert.equal(await counter.count(), 5n);
    const [event] = await counter.queryFilter("Counted", receipt.blockNumber, receipt.blockNumber);
    assert.equal(event.args.count, 5n);
  });

  it("refuses with reasons that can be read", async () => {
    const counter = await ethers.deployContract("Counter", [1n]);
    await counter.waitForDeployment();
    await assert.rejects(counter.refuse(), /out of stock/);
    const refused = (error) => counter.interface.parseError(error.data)?.name === "TooMuch";
    await assert.rejects(counter.add.estimateGas(101n), refused);
  });
});
