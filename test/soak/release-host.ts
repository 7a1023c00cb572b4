import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import {
  type GlobalSession,
  global,
  type Session,
  type SessionName,
  Supervisor,
  type SupervisorOptions,
  template,
} from "castellan";
import { fakeClaude } from "castellan/testing";

/*
 * An application on a packed release. It does what its input says, one JSON object per line, and prints what comes of it,
 * likewise. Claude appends each prompt that it begins to a file, and takes a moment for it, or with `long` until it is told to go on.
 */

interface Settings extends Pick<SupervisorOptions, "journal" | "cluster"> {
  readonly release: string;
  /** The file of the prompts. */
  readonly begun: string;
}

interface Order {
  readonly do: "query" | "enqueue" | "wait" | "go" | "drain" | "warnings";
  readonly id: number;
  readonly session: SessionName;
  readonly prompt: string;
}

const { release, begun, ...options }: Settings = JSON.parse(process.argv[2] ?? "{}");
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const warnings: string[] = [];
process.on("warning", ({ message }) => warnings.push(message));
const told = Promise.withResolvers<void>();
const fake = fakeClaude(async (turn) => {
  appendFileSync(begun, `${turn.prompt}\n`);
  if (turn.prompt.startsWith("long")) {
    await turn.text("It takes long. ");
    say({ began: turn.prompt });
    await told.promise;
  } else await delay(20);
  await turn.text(`${turn.prompt} by ${release}`);
});
// A fake keeps its conversations in memory.
const defaults = { spawnClaudeCodeProcess: fake.spawn, onMissingConversation: "fresh" } as const;
const name = options.cluster === undefined ? "user" : global("user");
const supervisor = await Supervisor.start([template(name, () => defaults)], {
  name: "app",
  ...options,
  defaults,
  logger: { info: () => {}, warn: (message: string) => void warnings.push(message) },
}).catch((error: unknown) => {
  const failed = error instanceof Error && "code" in error ? error.code : String(error);
  say({
    failed,
    message: String(error),
    details: error instanceof Error && "details" in error ? error.details : undefined,
  });
  process.exit(1);
});
void supervisor.closed.then(({ reason }) => say({ closed: reason }));
say({ ready: release });

/** The session of an order. */
function sessionOf(key: SessionName): Session | GlobalSession {
  return options.cluster === undefined ? supervisor.session(key) : supervisor.session(global(key));
}

async function work({ do: what, session: key, prompt }: Order): Promise<unknown> {
  switch (what) {
    case "query":
      return (await sessionOf(key).query(prompt, { idempotencyKey: prompt })).text;
    case "enqueue":
      return await sessionOf(key).enqueue(prompt, { idempotencyKey: prompt });
    case "wait":
      return (await (await sessionOf(key).turn(prompt))?.result())?.text;
    case "go":
      return told.resolve();
    case "drain":
      await supervisor.drain({ deadline: "30s" });
      await supervisor.stop();
      setImmediate(() => process.exit(0));
      return undefined;
    case "warnings":
      return warnings;
  }
}

createInterface(process.stdin).on("line", (line) => {
  const order = JSON.parse(line) as Order;
  work(order).then(
    (value) => say({ id: order.id, value }),
    (error: unknown) =>
      say({
        id: order.id,
        error: error instanceof Error && "code" in error ? error.code : String(error),
        details: error instanceof Error && "details" in error ? error.details : undefined,
        message: String(error),
      }),
  );
});
