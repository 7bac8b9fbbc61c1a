// solc's command line, as far as `verify.solc` needs it: standard JSON from stdin to stdout, by npm's solc.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const solc = createRequire(import.meta.url)("solc");
process.stdout.write(solc.compile(readFileSync(0, "utf8")));
