// The same with web3.js: node web3js.mjs URL KEY CONTRACTS. Prints one JSON document.
import { readFileSync } from "node:fs";
import { Web3 } from "web3";

const [url, key, contracts] = process.argv.slice(2);
const artifact = (name) => JSON.parse(readFileSync(`${contracts}/${name}.json`, "utf8"));
const out = {};
const web3 = new Web3(url);
web3.eth.transactionPollingInterval = 200;
const account = web3.eth.accounts.privateKeyToAccount(key);
web3.eth.accounts.wallet.add(account);
const from = account.address;
out.chainId = Number(await web3.eth.getChainId());

// Every type of transaction that it can sign.
const to = "0x000000000000000000000000000000000000dEaD";
const types = [{ type: 0, gasPrice: 1n }, { type: 1, gasPrice: 1n, accessList: [{ address: to, storageKeys: [] }] }, { type: 2 }];
out.types = [];
for (const fields of types) {
  const receipt = await web3.eth.sendTransaction({ from, to, value: 1n, gas: 30000n, ...fields });
  const { type } = await web3.eth.getTransaction(receipt.transactionHash);
  out.types.push([Number(type), Number(receipt.status), String(receipt.effectiveGasPrice)]);
}

// Deploy, call, send, and find the event again. web3.js signs the price that the node advises.
const paid = new Web3(`${url}/paid`);
paid.eth.transactionPollingInterval = 200;
paid.eth.accounts.wallet.add(account);
const deploy = async (name, ...args) => {
  const made = new paid.eth.Contract(artifact(name).abi).deploy({ data: artifact(name).bytecode, arguments: args });
  return new web3.eth.Contract(artifact(name).abi, (await made.send({ from })).options.address);
};
const token = await deploy("LoyaltyToken", "Web", "WEB", 1000n);
out.symbol = await token.methods.symbol().call();
const sent = await token.methods.transfer(to, 42n).send({ from });
const [event] = await token.getPastEvents("Transfer", { filter: { to }, fromBlock: sent.blockNumber });
out.event = String(event.returnValues.value);

// Pushed over WebSocket.
const socket = new Web3(url.replace("http", "ws"));
const heads = await socket.eth.subscribe("newBlockHeaders");
out.head = await new Promise((resolve) => heads.once("data", (head) => resolve(typeof head.number)));
const logs = await socket.eth.subscribe("logs", { address: token.options.address });
const pushed = new Promise((resolve) => logs.once("data", (log) => resolve(log.transactionHash)));
const second = await token.methods.transfer(to, 7n).send({ from });
out.pushed = (await pushed) === second.transactionHash;
socket.provider.disconnect();

// Reverts carry their reason, custom errors their data.
const probe = await deploy("Probe");
const reason = (promise) => promise.then(() => "none", (error) => error);
out.reason = (await reason(probe.methods.revertWithReason().call())).cause?.message;
out.customError = (await reason(probe.methods.revertWithError().call())).cause?.errorName;
out.estimate = (await reason(probe.methods.revertWithReason().estimateGas())).cause?.message;
console.log(JSON.stringify(out));
process.exit(0);
