// Compiles every .sol file here with npm's solc and writes <Contract>.json (abi and bytecode).
// npm install --no-save solc@0.8.30 @openzeppelin/contracts@5.7.0 && node compile.mjs
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const root = process.env.NODE_MODULES ?? "./node_modules";
const require = createRequire(path.resolve(root, "..", "index.js"));
const solc = require("solc");
const names = readdirSync(".").filter((name) => name.endsWith(".sol"));
const input = {
  language: "Solidity",
  sources: Object.fromEntries(names.map((name) => [name, { content: readFileSync(name, "utf8") }])),
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "prague",
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const place = (file) => (file.startsWith("ICmt") ? "../../cybermiles/system/sol" : root);
const find = (file) => ({ contents: readFileSync(path.join(place(file), file), "utf8") });
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
for (const error of output.errors ?? []) console.error(error.formattedMessage);
for (const name of names) {
  const contract = path.basename(name, ".sol");
  const { abi, evm } = output.contracts[name][contract];
  const artifact = { contractName: contract, compiler: solc.version(), abi, bytecode: "0x" + evm.bytecode.object };
  writeFileSync(`${contract}.json`, JSON.stringify(artifact, null, 1) + "\n");
}
