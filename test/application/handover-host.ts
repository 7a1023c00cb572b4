import { createInterface } from "node:readline";
import { pool, type SessionName, Supervisor, template } from "../../src/index.ts";
import { fakeClaude } from "../../src/testing/index.ts";

/*
 * A process of an application whose journal is handed over, for tests. It does what its input says, one JSON object per
 * line, and prints what comes of it, likewise. A prompt that begins with `wait` runs until the line `{"do":"go"}` comes in.
 */

const { release, journal } = JSON.parse(process.argv[2] ?? "{}");

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const warnings: string[] = [];
process.on("warning", ({ message }) => warnings.push(message));

const told = Promise.withResolvers<void>();
const fake = fakeClaude(async (turn) => {
  say({ began: turn.prompt });
  if (turn.prompt.startsWith("wait")) {
    await turn.text(`${release} begins. `);
    await told.promise;
  }
  await turn.text(`${release}: ${turn.prompt}`);
});
// A fake keeps its conversations in memory.
const options = { spawnClaudeCodeProcess: fake.spawn, onMissingConversation: "fresh" } as const;
const supervisor = await Supervisor.start(
  [
    { name: "one", ...options },
    { name: "two", ...options },
    template("user", () => options),
    pool("workers", { size: 2, ...options }),
  ],
  { name: "app", journal, logger: { info: () => {}, warn: (message: string) => warnings.push(message) } },
).catch((error: unknown) => {
  say({ failed: error instanceof Error && "code" in error ? error.code : String(error) });
  process.exit(1);
});
void supervisor.handedOver.then(() => say({ handedOver: true }));
void supervisor.closed.then(({ reason }) => say({ closed: reason }));
say({ ready: release });

interface Asked {
  readonly do:
    | "query"
    | "go"
    | "drain"
    | "events"
    | "lastEvent"
    | "history"
    | "enqueue"
    | "turn"
    | "interrupt"
    | "warnings";
  readonly id: number;
  readonly session: SessionName;
  readonly prompt: string;
  readonly key?: string;
}

async function work({ do: what, session, prompt, key }: Asked): Promise<unknown> {
  const keyed = key === undefined ? {} : { idempotencyKey: key };
  switch (what) {
    case "go":
      told.resolve();
      return undefined;
    case "query":
      return (await supervisor.query(session, prompt, keyed)).text;
    case "enqueue":
      return await supervisor.session(session).enqueue(prompt, keyed);
    case "turn":
      return (await (await supervisor.session(session).turn(prompt))?.result())?.text;
    case "interrupt":
      return await supervisor.session(session).interrupt();
    case "history":
      return (await supervisor.session(session).history()).entries.flatMap((entry) =>
        entry.type === "turn" ? [`${entry.prompt} ${entry.state}`] : [],
      );
    case "events":
      for await (const event of supervisor.session(session).events({ after: 0 })) {
        if (event.number !== undefined) say({ event: event.type, number: event.number, session });
      }
      return "over";
    case "lastEvent":
      return (await supervisor.session(session).pastEvents({ limit: 1 })).at(0);
    case "drain":
      return await supervisor.drain({ deadline: "20s" });
    case "warnings":
      return warnings;
  }
}

createInterface(process.stdin).on("line", (line) => {
  const asked = JSON.parse(line) as Asked;
  work(asked).then(
    (value) => say({ id: asked.id, value }),
    (error: unknown) =>
      say({
        id: asked.id,
        error: error instanceof Error && "code" in error ? error.code : String(error),
        message: String(error),
      }),
  );
});
