import { createRequire } from "node:module";
import hardhatEthers from "@nomicfoundation/hardhat-ethers";
import hardhatNetworkHelpers from "@nomicfoundation/hardhat-network-helpers";
import hardhatNodeTestRunner from "@nomicfoundation/hardhat-node-test-runner";
import hardhatVerify from "@nomicfoundation/hardhat-verify";
import { defineConfig } from "hardhat/config";

const url = process.env.NODE_URL ?? "http://127.0.0.1:8545";
export default defineConfig({
  plugins: [hardhatEthers, hardhatNetworkHelpers, hardhatNodeTestRunner, hardhatVerify],
  solidity: {
    version: "0.8.30",
    path: createRequire(import.meta.url).resolve("solc/soljson.js"), // nothing is downloaded
    settings: { optimizer: { enabled: true, runs: 200 }, evmVersion: "prague" },
  },
  networks: { devnet: { type: "http", chainType: "l1", url, accounts: [process.env.NODE_KEY ?? `0x${"11".repeat(32)}`] } },
  chainDescriptors: {
    181818: {
      name: "CyberMiles devnet",
      blockExplorers: { etherscan: { name: "node", url, apiUrl: `${url}/api` } },
    },
  },
  verify: { etherscan: { apiKey: "none" } },
});
