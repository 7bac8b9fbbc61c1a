import { network } from "hardhat";

const { ethers } = await network.create("devnet");
const counter = await ethers.deployContract("Counter", [40n]);
await counter.waitForDeployment();
await (await counter.add(2n)).wait();
console.log(JSON.stringify({ address: await counter.getAddress(), count: String(await counter.count()) }));
