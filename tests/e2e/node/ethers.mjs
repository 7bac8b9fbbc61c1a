// What a dApp does with ethers, against a running node: node ethers.mjs URL KEY CONTRACTS. Prints one JSON document.
import { readFileSync } from "node:fs";
import { ContractFactory, JsonRpcProvider, Wallet, WebSocketProvider, parseEther } from "ethers";

const [url, key, contracts] = process.argv.slice(2);
const artifact = (name) => JSON.parse(readFileSync(`${contracts}/${name}.json`, "utf8"));
const out = {};
const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1 });
provider.pollingInterval = 200;
const wallet = new Wallet(key, provider);
out.chainId = Number((await provider.getNetwork()).chainId);

// A transfer costs nothing.
const fresh = Wallet.createRandom().connect(provider);
const before = await provider.getBalance(wallet.address);
const transfer = await (await wallet.sendTransaction({ to: fresh.address, value: parseEther("5") })).wait();
out.transfer = { status: transfer.status, gasPrice: String(transfer.gasPrice), paid: String(before - (await provider.getBalance(wallet.address))) };

// The receiver sends it on without ever having paid gas.
const onward = await (await fresh.sendTransaction({ to: wallet.address, value: parseEther("5") })).wait();
out.emptied = { status: onward.status, balance: String(await provider.getBalance(fresh.address)) };

// A deployment over the free limit at ethers' zero price is refused with the documented text ...
const { abi, bytecode } = artifact("LoyaltyToken");
const factory = new ContractFactory(abi, bytecode, wallet);
try {
  await factory.deploy("Loyalty", "LOY", parseEther("1000"));
  out.zeroPrice = "accepted";
} catch (error) {
  out.zeroPrice = error.info?.error?.message ?? error.message;
}

// ... and goes through at the price it names, or with the /paid address.
const paidWallet = new Wallet(key, new JsonRpcProvider(`${url}/paid`, undefined, { cacheTimeout: -1, pollingInterval: 200 }));
const token = await new ContractFactory(abi, bytecode, paidWallet).deploy("Loyalty", "LOY", parseEther("1000"));
await token.waitForDeployment();
const contract = token.connect(wallet);
out.token = { name: await contract.name(), supply: String(await contract.totalSupply()) };

// A pair of two tokens takes liquidity and pays a swap.
const deploy = async (name, ...parameters) => {
  const made = await new ContractFactory(artifact(name).abi, artifact(name).bytecode, paidWallet).deploy(...parameters);
  await made.waitForDeployment();
  return made.connect(wallet);
};
const other = await deploy("LoyaltyToken", "Other", "OTH", parseEther("1000"));
const pair = await deploy("ConstantProductPair", contract.target, other.target);
for (const coin of [contract, other]) await (await coin.transfer(pair.target, parseEther("10"))).wait();
await (await pair.mint(wallet.address)).wait();
await (await contract.transfer(pair.target, parseEther("1"))).wait();
const first = (await pair.token0()) === contract.target;
const bought = parseEther("0.9");
const swap = await (await pair.swap(first ? 0n : bought, first ? bought : 0n, wallet.address)).wait();
const swapped = (await pair.queryFilter("Swap", swap.blockNumber, swap.blockNumber))[0].args;
const [reserve0, reserve1] = await pair.getReserves();
out.pair = {
  reserves: [String(first ? reserve0 : reserve1), String(first ? reserve1 : reserve0)],
  bought: String(first ? swapped.amount1Out : swapped.amount0Out),
};

// Events, over HTTP and pushed over WebSocket.
const socket = new WebSocketProvider(url.replace("http", "ws"));
const pushed = new Promise((resolve) => contract.connect(socket).on("Transfer", (from, to, value) => resolve(String(value))));
await socket.getBlockNumber();
const sent = await (await contract.transfer(fresh.address, 42n)).wait();
out.free = String(sent.gasPrice);
out.event = String((await contract.queryFilter("Transfer", sent.blockNumber, sent.blockNumber))[0].args.value);
out.pushed = await pushed;
await socket.destroy();

// Reverts carry their reason.
const probe = await new ContractFactory(artifact("Probe").abi, artifact("Probe").bytecode, paidWallet).deploy();
await probe.waitForDeployment();
try {
  await probe.revertWithReason();
} catch (error) {
  out.reason = error.reason;
}
try {
  await probe.revertWithError();
} catch (error) {
  out.customError = error.revert?.name;
}
console.log(JSON.stringify(out));
process.exit(0);
