import { pool, Supervisor } from "../../src/index.ts";

/*
 * An application that gives a pool all of its documents, and reports how each job ends, one line each. It is a process of its own, since
 * it is killed.
 */

const { sqlite, cwd, env, documents, onInterruptedTurn } = JSON.parse(process.argv[2] ?? "{}");
// With an empty conversation, each document would need a process of its own.
const conversation = "shared" as const;
const settings = { size: 3, conversation, cwd, env, maxTurns: 2, settingSources: [], onInterruptedTurn };
const supervisor = await Supervisor.start([pool("summaries", settings)], {
  name: "summarising",
  journal: { sqlite, waitForOwner: "30s" },
  logger: { info: () => {}, warn: () => {} },
});
const summaries = supervisor.pool("summaries");
await Promise.all(
  documents.map(async (document: string) => {
    const id = await summaries.enqueue(`Summarise ${document}.`, { idempotencyKey: document });
    const end = await (await summaries.turn(id))?.result().then(
      ({ text }) => ({ text }),
      ({ code }) => ({ code }),
    );
    process.stdout.write(`${JSON.stringify({ document, id, ...end })}\n`);
  }),
);
await supervisor.stop();
