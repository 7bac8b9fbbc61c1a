// The same with viem, which prices by base fee and tip: node viem.mjs URL KEY CONTRACTS. Prints one JSON document.
import { readFileSync } from "node:fs";
import { createPublicClient, createWalletClient, defineChain, http, parseEther } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const [url, key, contracts] = process.argv.slice(2);
const chain = defineChain({
  id: 181818,
  name: "CyberMiles devnet",
  nativeCurrency: { name: "CMT", symbol: "CMT", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const account = privateKeyToAccount(key);
const transport = http(url);
const reader = createPublicClient({ chain, transport, pollingInterval: 200 });
const wallet = createWalletClient({ chain, transport, account });
const { abi, bytecode } = JSON.parse(readFileSync(`${contracts}/LoyaltyToken.json`, "utf8"));
const mined = (hash) => reader.waitForTransactionReceipt({ hash });

const out = {};
const transfer = await mined(await wallet.sendTransaction({ to: "0x000000000000000000000000000000000000dEaD", value: parseEther("1") }));
out.transferPrice = String(transfer.effectiveGasPrice);
const deployment = await mined(await wallet.deployContract({ abi, bytecode, args: ["Viem", "VIE", 1000n] }));
out.deployPrice = String(deployment.effectiveGasPrice);
const address = deployment.contractAddress;
out.symbol = await reader.readContract({ address, abi, functionName: "symbol" });
const { request } = await reader.simulateContract({ account, address, abi, functionName: "transfer", args: [address, 7n] });
const receipt = await mined(await wallet.writeContract(request));
out.callPrice = String(receipt.effectiveGasPrice);
out.logs = (await reader.getContractEvents({ address, abi, eventName: "Transfer", fromBlock: receipt.blockNumber })).length;
console.log(JSON.stringify(out));
