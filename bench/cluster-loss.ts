import { nameKey } from "../src/names.ts";
import { RealCluster } from "../test/cluster/real-cluster.ts";
import type { PostgresServer } from "../test/journal/postgres-server.ts";
import { FarClaude } from "./far-claude.ts";
import { transactionsOf } from "./postgres-load.ts";
import { randomFrom, shuffled } from "./random.ts";
import { timed } from "./rounds.ts";
import { figureOf, quantileOf } from "./spread.ts";

const NODES = ["one", "two", "three", "four", "five"] as const;
const LOST = "three";
const CALLERS = 48;
const PROCESSES = 16;

/**
 * Tells each of many sessions on five nodes a number, and asks all for it in any order: once undisturbed, and once from the moment at which
 * a node is killed. Each session must answer with its own number and have run each turn once.
 */
export async function loss(server: PostgresServer, count: number): Promise<Record<string, string>> {
  await using far = await FarClaude.start();
  const options = { server, claude: { far: far.path }, cluster: { maxProcesses: PROCESSES } } as const;
  await using cluster = await RealCluster.start(options, ...NODES);
  const all = Array.from({ length: count }, (_, at) => at);
  const random = randomFrom(7);
  let wrong = 0;
  /** Returns how long each name's answer took, in milliseconds, by its number. */
  const askAll = async (prompt: (at: number) => string, expected: (at: number) => string): Promise<number[]> => {
    const took: number[] = [];
    const numbers = shuffled(all, random).values();
    const caller = async (): Promise<void> => {
      for (const at of numbers) {
        took[at] = await timed(async () => {
          const { text } = await cluster.client.query(cluster.nameOf("chat", `n${at}`), prompt(at));
          if (text !== expected(at)) wrong += 1;
        });
      }
    };
    await Promise.all(Array.from({ length: CALLERS }, caller));
    return took;
  };
  const tell = (at: number): string => `My number is ${at}.`;
  const told = (at: number): string => `You just said: ${tell(at)}`;
  await askAll(tell, (at) => `You said: ${tell(at)}`);
  const [before, beforeMs] = await clocked(() => askAll(() => "What did I just say?", told));
  await askAll(tell, (at) => `You said: ${tell(at)}`);
  const lost = await namesOf(cluster, LOST);
  const earlier = await transactionsOf(server);
  cluster.node(LOST).kill("SIGKILL");
  const [after, afterMs] = await clocked(() => askAll(() => "What did I just say?", told));
  const committed = (await transactionsOf(server)) - earlier;
  const moved = after.filter((_, at) => lost.has(nameKey(["global", "chat", `n${at}`])));
  return {
    names: `${count}, of which the lost node had ${lost.size}`,
    "wrong answers": String(wrong),
    "turns that did not run exactly once": String(await faults(cluster, 4 * count)),
    "until all have answered, undisturbed, s": (beforeMs / 1_000).toFixed(1),
    "until all have answered, from the kill on, s": (afterMs / 1_000).toFixed(1),
    "an answer, undisturbed, ms": spreadWithWorst(before),
    "an answer of a session of the lost node, ms": spreadWithWorst(moved),
    "an answer of any session, ms": spreadWithWorst(after),
    "transactions/s meanwhile": ((1_000 * committed) / afterMs).toFixed(0),
    "transactions a turn": (committed / count).toFixed(1),
  };
}

async function clocked<Result>(work: () => Promise<Result>): Promise<[Result, number]> {
  const since = performance.now();
  const result = await work();
  return [result, performance.now() - since];
}

function spreadWithWorst(figures: readonly number[]): string {
  return `${figureOf(figures)}, p99 ${quantileOf(figures, 0.99).toFixed(0)}, worst ${Math.max(...figures).toFixed(0)}`;
}

async function namesOf({ server, schema }: RealCluster, node: string): Promise<ReadonlySet<string>> {
  const rows = await server.sql<{ readonly key: string }>(
    `select key from ${schema}.globals join ${schema}.nodes on nodes.boot = globals.owner where nodes.name = $1`,
    [node],
  );
  return new Set(rows.map(({ key }) => key));
}

/** Returns how many turns are missing, were tried more than once, or did not complete. */
async function faults({ server, schema }: RealCluster, expected: number): Promise<number> {
  const [row] = await server.sql<{ readonly turns: string; readonly wrong: string }>(
    `select count(*) as turns, count(*) filter (where attempts <> 1 or state <> 'completed') as wrong from ${schema}.turns`,
  );
  return Math.abs(expected - Number(row?.turns)) + Number(row?.wrong);
}
