import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/* Runs a test that injects random faults for a given time: `npm run test:chaos` and `npm run test:disturb`. */

interface Suite {
  readonly usage: string;
  readonly tests: string;
  readonly minutes: string;
  readonly env: (seed: string, minutes: string) => Readonly<Record<string, string>>;
}

const SUITES: Readonly<Record<string, Suite>> = {
  chaos: {
    usage: `npm run test:chaos -- [options]
  --seed <n>     the seed of the faults (random)
  --minutes <n>  the duration on each kind of process (5)
  --on <kind>    only on "fake" or "real" processes (both)
  --help         this text`,
    tests: "test/chaos",
    minutes: "5",
    env: (seed, minutes) => ({ CHAOS_SEED: seed, CHAOS_MINUTES: minutes }),
  },
  disturb: {
    usage: `npm run test:disturb -- [options]
  --seed <n>     the seed of the kills (random)
  --minutes <n>  the duration (60)
  --help         this text`,
    tests: "test/kills/disturbed.test.ts",
    minutes: "60",
    env: (seed, minutes) => ({ KILL_SEED: seed, KILL_MINUTES: minutes }),
  },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: String(randomInt(2 ** 31)) },
    minutes: { type: "string" },
    on: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
const [name = "chaos"] = positionals;
const suite = SUITES[name];
if (suite === undefined) throw new Error(`unknown suite ${name}; expected ${Object.keys(SUITES).join(" or ")}`);

if (values.help) console.log(suite.usage);
else {
  const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
  const args = [vitest, "run", "--config", "vitest.chaos.config.ts", suite.tests];
  const on = values.on === undefined ? {} : { CHAOS_ON: values.on };
  const env = { ...process.env, ...suite.env(values.seed, values.minutes ?? suite.minutes), ...on };
  const tests = spawn(process.execPath, args, { stdio: "inherit", env });
  tests.on("exit", (code) => {
    process.exitCode = code ?? 1;
  });
}
