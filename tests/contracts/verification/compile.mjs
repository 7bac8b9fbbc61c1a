// Writes compiled.json: the standard JSON input of the sources here and what solc makes of it.
// npm ci --prefix ../../e2e/node && node compile.mjs
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../e2e/node/", import.meta.url));
const solc = require("solc");
const names = ["Vault.sol", "Shares.sol"];
const input = {
  language: "Solidity",
  sources: Object.fromEntries(names.map((name) => [name, { content: readFileSync(name, "utf8") }])),
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "prague",
    libraries: { "Shares.sol": { Shares: "0x1111111111111111111111111111111111111111" } },
    outputSelection: { "*": { "*": ["abi", "metadata", "evm.bytecode.object", "evm.deployedBytecode"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const error of output.errors ?? []) console.error(error.formattedMessage);
const version = solc.version().replace(".Emscripten.clang", "");
const contracts = { Vault: output.contracts["Vault.sol"].Vault, Shares: output.contracts["Shares.sol"].Shares };
for (const { evm } of Object.values(contracts))
  for (const name of ["sourceMap", "generatedSources", "opcodes", "linkReferences"]) delete evm.deployedBytecode[name];
writeFileSync("compiled.json", JSON.stringify({ version, input, contracts }, null, 1) + "\n");
