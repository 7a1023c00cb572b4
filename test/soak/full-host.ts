import { createInterface } from "node:readline";
import { CastellanError, Supervisor, session } from "../../src/index.ts";
import { fakeClaude } from "../../src/testing/index.ts";

/*
 * An application with a journal, for tests with a full disk. Each line of its input is an order. Each line of its
 * output is the answer.
 */

const [, , sqlite = ""] = process.argv;
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
const codeOf = (error: unknown): string =>
  CastellanError.is(error, "JOURNAL_UNAVAILABLE") ? error.details.reason : String(error);

const fake = fakeClaude();
await using supervisor = await Supervisor.start(
  [{ name: "only", spawnClaudeCodeProcess: fake.spawn, onMissingConversation: "fresh" }],
  {
    journal: { sqlite },
    logger: { info: () => {}, warn: () => {} },
  },
);

async function execute(order: string): Promise<unknown> {
  const [what, key = ""] = order.split(" ");
  switch (what) {
    case "ask":
      return await session("only")
        .query("hello", { idempotencyKey: key })
        .then(({ text, turnId }) => ({ text, turnId }), codeOf);
    case "read":
      return (await (await session("only").turn(key))?.result())?.text;
    case "cost":
      return (await session("only").usage()).length;
    case "await": {
      // Without any other request in between.
      while ((await supervisor.health()).status !== key) await new Promise((resolve) => setTimeout(resolve, 50));
      return key;
    }
    default: {
      const { status } = await supervisor.health();
      return {
        status,
        session: session("only").status().state,
        journal: supervisor.inspect().journal?.fault !== undefined,
      };
    }
  }
}

say("started");
for await (const line of createInterface(process.stdin)) say((await execute(line)) ?? null);
