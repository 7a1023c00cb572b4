import { RealCluster } from "../test/cluster/real-cluster.ts";
import type { PostgresServer } from "../test/journal/postgres-server.ts";
import { FarClaude } from "./far-claude.ts";
import { transactionRate } from "./postgres-load.ts";
import { timed } from "./rounds.ts";

const CALLERS = 48;
const PROCESSES = 16;

/** The duration of counting the transactions of an idle cluster. */
const IDLE_MS = 15_000;

/**
 * Tells each of many sessions a number and asks for it later, on three nodes with far fewer processes than names. Also counts the
 * statements of the idle cluster in PostgreSQL, before and after.
 */
export async function names(server: PostgresServer, count: number): Promise<Record<string, string>> {
  await using far = await FarClaude.start();
  const options = { server, claude: { far: far.path }, cluster: { maxProcesses: PROCESSES } } as const;
  await using cluster = await RealCluster.start(options, "one", "two", "three");
  const before = await transactionRate(server, IDLE_MS);
  let wrong = 0;
  const ask = async (prompt: (at: number) => string, expected: (at: number) => string): Promise<number> => {
    const numbers = Array.from({ length: count }, (_, at) => at).values();
    const caller = async (): Promise<void> => {
      for (const at of numbers) {
        const { text } = await cluster.client.query(cluster.nameOf("chat", `n${at}`), prompt(at));
        if (text !== expected(at)) wrong += 1;
      }
    };
    const ms = await timed(() => Promise.all(Array.from({ length: CALLERS }, caller)));
    return (1_000 * count) / ms;
  };
  const told = await ask(
    (at) => `My number is ${at}.`,
    (at) => `You said: My number is ${at}.`,
  );
  const after = await transactionRate(server, IDLE_MS);
  const asked = await ask(
    () => "What did I just say?",
    (at) => `You just said: My number is ${at}.`,
  );
  const { most } = await far.count();
  const owners = (await cluster.client.listSessions()).map(({ node }) => node ?? "none");
  const shares = Map.groupBy(owners, (node) => node);
  const spread = [...shares].map(([node, owned]) => `${node} ${owned.length}`).toSorted();
  return {
    names: String(count),
    "wrong answers": String(wrong),
    "turns/s, first ones": told.toFixed(0),
    "turns/s, second ones": asked.toFixed(0),
    "processes at a time": `${most} of ${3 * PROCESSES}`,
    "sessions by node": spread.join(", "),
    "transactions/s of the idle cluster, no sessions": before.toFixed(1),
    [`transactions/s of the idle cluster, ${count} sessions`]: after.toFixed(1),
  };
}
