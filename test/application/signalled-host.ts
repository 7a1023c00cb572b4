import { createInterface } from "node:readline";
import { query, Supervisor } from "../../src/index.ts";
import { fakeClaude } from "../../src/testing/index.ts";

/*
 * A host application, which tests run as a separate process and send signals to. Its only session answers once a line comes in.
 * It prints what happens, one event per line.
 */

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const told = Promise.withResolvers<void>();
createInterface(process.stdin).once("line", () => told.resolve());
// Ends by SIGKILL only, which shows whether the stop was patient.
const stubborn = process.argv.includes("--stubborn");
const fake = fakeClaude(
  async (turn) => {
    say("running");
    await told.promise;
    await turn.text("finished");
  },
  stubborn ? { endOfInput: "ignore", ignoreSigterm: true } : {},
);
const supervisor = await Supervisor.start(
  [{ name: "only", spawnClaudeCodeProcess: fake.spawn, shutdown: stubborn ? "infinity" : "5s" }],
  {},
);
// A supervisor without sessions stops long before the other.
const idle = process.argv.includes("--two") ? await Supervisor.start([], {}) : undefined;
idle?.stopOnSignals({ deadline: "1h" });
void idle?.closed.then(() => say("idle one stopped"));
const unwire = supervisor.stopOnSignals({ deadline: "1h" });
if (process.argv.includes("--unwired")) unwire();
else for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => say(`got ${signal}`));
void supervisor.closed.then(({ reason }) => say(reason));
void fake.processes[0]?.exited.then(({ signal }) => say(`process ended by ${signal}`));
await query("only", "hi").then(
  ({ text }) => say(text),
  ({ code }) => say(code),
);
