// Compiles every interface here with npm's solc and writes ../abi/<Interface>.json: its ABI and the members of its enums.
// node compile.mjs [folder to write to]
// In a checkout `make abi` does it, with the compiler among the tests' JavaScript clients; NODE_MODULES names another place.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const here = import.meta.dirname;
const modules = process.env.NODE_MODULES ?? path.join(here, "../../../tests/e2e/node/node_modules");
const solc = createRequire(path.resolve(modules, "..", "index.js"))("solc");
const target = process.argv[2] ?? path.join(here, "..", "abi");
const names = readdirSync(here).filter((name) => name.endsWith(".sol"));
const output = JSON.parse(
  solc.compile(
    JSON.stringify({
      language: "Solidity",
      sources: Object.fromEntries(names.map((name) => [name, { content: readFileSync(path.join(here, name), "utf8") }])),
      settings: { outputSelection: { "*": { "": ["ast"], "*": ["abi"] } } },
    }),
  ),
);
for (const error of output.errors ?? []) console.error(error.formattedMessage);
if ((output.errors ?? []).some((error) => error.severity === "error")) process.exit(1);

const enums = {};
const collect = (node) => {
  if (node.nodeType === "EnumDefinition") enums[node.canonicalName] = node.members.map((member) => member.name);
  for (const child of node.nodes ?? []) collect(child);
};
for (const { ast } of Object.values(output.sources)) collect(ast);

for (const contracts of Object.values(output.contracts)) {
  for (const [name, { abi }] of Object.entries(contracts)) {
    const text = JSON.stringify(abi);
    const used = Object.entries(enums).filter(([full]) => text.includes(`enum ${full}"`) || text.includes(`enum ${full}[`));
    const document = { contractName: name, abi, enums: Object.fromEntries(used) };
    writeFileSync(path.join(target, `${name}.json`), JSON.stringify(document, null, 1) + "\n");
  }
}
