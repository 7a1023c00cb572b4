import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/* `npm run test:chaos`: everything that can go wrong, by chance, for so long; see test/chaos. */

const USAGE = `npm run test:chaos -- [options]
  --seed <n>     what goes wrong when (by chance)
  --minutes <n>  for how long, on each kind of process (5)
  --on <kind>    only on "fake" or "real" processes (both)
  --help         this text`;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(randomInt(2 ** 32 - 1)) },
    minutes: { type: "string", default: "5" },
    on: { type: "string", default: "" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) console.log(USAGE);
else {
  const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
  const only = values.on === "" ? [] : ["--testNamePattern", `^${values.on} processes`];
  const args = [vitest, "run", "--config", "vitest.chaos.config.ts", ...only];
  const env = { ...process.env, CHAOS_SEED: values.seed, CHAOS_MINUTES: values.minutes };
  const tests = spawn(process.execPath, args, { stdio: "inherit", env });
  tests.on("exit", (code) => {
    process.exitCode = code ?? 1;
  });
}
