import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { network } from "hardhat";

const { ethers, networkHelpers } = await network.create("devnet");
const { loadFixture, takeSnapshot, time } = networkHelpers;
const SOMEBODY = "0x00000000000000000000000000000000000f1c5e";

async function deployed() {
  const counter = await ethers.deployContract("Counter", [1n]);
  await counter.waitForDeployment();
  await (await counter.add(1n)).wait();
  return { counter, at: await time.latest() };
}

describe("Hardhat's helpers", () => {
  for (const amount of [4n, 9n, 16n]) {
    it(`loadFixture begins anew before ${amount} are added`, async () => {
      const { counter } = await loadFixture(deployed);
      assert.equal(await counter.count(), 2n);
      const receipt = await (await counter.add(amount)).wait();
      assert.equal(await counter.count(), 2n + amount);
      const events = await counter.queryFilter("Counted", 0);
      assert.deepEqual(events.map((event) => event.args.count), [2n, 2n + amount]);
      assert.equal(events[1].blockHash, receipt.blockHash);
    });
  }

  it("time is moved, and goes back with the fixture", async () => {
    const { at } = await loadFixture(deployed);
    await time.increase(86_400);
    assert.ok((await time.latest()) >= at + 86_400);
    const later = (await time.latest()) + 1_000;
    await time.increaseTo(later);
    assert.equal(await time.latest(), later);
    await loadFixture(deployed);
    assert.ok((await time.latest()) < at + 3_600);
  });

  it("a snapshot is restored again and again", async () => {
    const before = await ethers.provider.getBalance(SOMEBODY);
    const snapshot = await takeSnapshot();
    for (const wei of [5n, 6n]) {
      await networkHelpers.setBalance(SOMEBODY, wei);
      assert.equal(await ethers.provider.getBalance(SOMEBODY), wei);
      await snapshot.restore();
      assert.equal(await ethers.provider.getBalance(SOMEBODY), before);
    }
  });
});
