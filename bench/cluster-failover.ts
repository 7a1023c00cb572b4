import { mockApi } from "../src/testing/index.ts";
import { RealCluster, type RealClusterOptions } from "../test/cluster/real-cluster.ts";
import type { PostgresServer } from "../test/journal/postgres-server.ts";
import { figureOf } from "./spread.ts";

type Spans = NonNullable<RealClusterOptions["cluster"]>;

export const DEFAULTS: Spans = {};
export const TUNED: Spans = { beat: "150ms", staleAfter: "750ms", margin: "200ms" };

/** Measures the time from the kill of the owner to a reply of the next owner in the same conversation, with the real Claude Code. */
export async function failover(server: PostgresServer, spans: Spans, rounds: number): Promise<Record<string, string>> {
  await using api = await mockApi();
  const options: RealClusterOptions = { server, claude: "real", env: api.env, cluster: spans };
  await using cluster = await RealCluster.start(options, "one", "two", "three");
  const session = cluster.client.session(cluster.nameOf("chat", "a"));
  await session.query("My number is 0.");
  const took: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    const owner = await cluster.owner("chat", "a");
    const since = performance.now();
    owner.kill("SIGKILL");
    const { text } = await session.query("What did I just say?");
    took.push(performance.now() - since);
    if (!text.includes(`My number is ${round - 1}.`)) throw new Error(`the conversation was lost: ${text}`);
    await session.query(`My number is ${round}.`);
    await owner.gone;
    await cluster.join(owner.name);
  }
  return { "kill -9 to the next reply, ms": figureOf(took), "the worst of them, ms": Math.max(...took).toFixed(0) };
}
