// The same with viem, which prices by base fee and tip: node viem.mjs URL KEY CONTRACTS. Prints one JSON document.
import { readFileSync } from "node:fs";
import {
  BaseError,
  ContractFunctionRevertedError,
  InsufficientFundsError,
  NonceTooLowError,
  createPublicClient,
  createWalletClient,
  defineChain,
  encodeFunctionData,
  http,
  parseEther,
  webSocket,
} from "viem";
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

// Every type of transaction, a delegation of the own account among them.
const probe = JSON.parse(readFileSync(`${contracts}/Probe.json`, "utf8"));
const code = (await mined(await wallet.deployContract(probe))).contractAddress;
const data = encodeFunctionData({ abi: probe.abi, functionName: "store", args: [7n] });
const calls = {
  legacy: { type: "legacy", to: code, data, gasPrice: 0n },
  eip2930: { type: "eip2930", to: code, data, gasPrice: 0n, accessList: [{ address: code, storageKeys: [] }] },
  eip1559: { type: "eip1559", to: code, data },
  eip7702: { to: account.address, data, gas: 150_000n },
};
out.types = [];
for (const [name, call] of Object.entries(calls)) {
  if (name === "eip7702") call.authorizationList = [await wallet.signAuthorization({ contractAddress: code, executor: "self" })];
  const hash = await wallet.sendTransaction(call);
  const { status } = await mined(hash);
  out.types.push([(await reader.getTransaction({ hash })).type, status]);
}
out.delegated = (await reader.getCode({ address: account.address })) === `0xef0100${code.slice(2).toLowerCase()}`;
out.ownStorage = Number(await reader.readContract({ address: account.address, abi: probe.abi, functionName: "stored" }));

// Pushed over WebSocket.
const socket = createPublicClient({ chain, transport: webSocket(url.replace("http", "ws")) });
const pushed = new Promise((resolve) => {
  const unwatch = socket.watchContractEvent({ address, abi, eventName: "Transfer", onLogs: ([log]) => (unwatch(), resolve(log)) });
});
await socket.getBlockNumber();
const last = await mined(await wallet.writeContract(request));
out.pushed = (await pushed).transactionHash === last.transactionHash;
out.head = await new Promise((resolve) => {
  const unwatch = socket.watchBlockNumber({ onBlockNumber: (number) => (unwatch(), resolve(number >= last.blockNumber)) });
});

// Errors have their types.
const kind = async (promise, type) => {
  try {
    await promise;
  } catch (error) {
    const found = error instanceof BaseError && error.walk((cause) => cause instanceof type);
    return found ? (found.reason ?? found.data?.errorName ?? found.name) : error.message;
  }
};
const read = (functionName) => reader.readContract({ address: code, abi: probe.abi, functionName });
const nobody = privateKeyToAccount(`0x${"77".repeat(32)}`);
out.errors = [
  await kind(read("revertWithReason"), ContractFunctionRevertedError),
  await kind(read("revertWithError"), ContractFunctionRevertedError),
  await kind(wallet.sendTransaction({ to: nobody.address, nonce: 0 }), NonceTooLowError),
  await kind(wallet.sendTransaction({ account: nobody, to: account.address, value: 1n }), InsufficientFundsError),
];
console.log(JSON.stringify(out));
process.exit(0);
