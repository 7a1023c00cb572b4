import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/* `npm run test:disturb`: an application on the real Claude Code, of which everything is killed and stopped by chance, for so long; see test/kills. */

const USAGE = `npm run test:disturb -- [options]
  --seed <n>     what is done when (by chance)
  --minutes <n>  for how long (60)
  --help         this text`;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(randomInt(2 ** 31)) },
    minutes: { type: "string", default: "60" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) console.log(USAGE);
else {
  const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
  const args = [vitest, "run", "--config", "vitest.kills.config.ts", "test/kills/disturbed.test.ts"];
  const env = { ...process.env, KILL_SEED: values.seed, KILL_MINUTES: values.minutes };
  const tests = spawn(process.execPath, args, { stdio: "inherit", env });
  tests.on("exit", (code) => {
    process.exitCode = code ?? 1;
  });
}
