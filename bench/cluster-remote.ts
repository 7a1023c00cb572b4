import { RealCluster } from "../test/cluster/real-cluster.ts";
import type { PostgresServer } from "../test/journal/postgres-server.ts";
import { FarClaude } from "./far-claude.ts";
import { figureOf, spreadOf } from "./spread.ts";

const ROUNDS = 9;
const TURNS = 30;
const PIECES = 20_000;
const NAME = ["chat", "a"] as const;

/** Measures a turn and its messages, alternating between the node that owns the session and another node. */
export async function remote(server: PostgresServer): Promise<Record<string, string>> {
  await using far = await FarClaude.start();
  await using cluster = await RealCluster.start({ server, claude: { far: far.path } }, "one", "two");
  await cluster.client.query(cluster.nameOf(...NAME), "hello");
  const owner = await cluster.owner(...NAME);
  const both = [owner, cluster.nodes.find((node) => node !== owner) ?? owner];
  const latency: number[][] = [[], []];
  const speed: number[][] = [[], []];
  for (let round = 0; round <= ROUNDS; round++) {
    for (const offset of [0, 1]) {
      const at = (round + offset) % 2;
      const turns = await both[at]?.measure(NAME, "hello", TURNS);
      const long = await both[at]?.measure(NAME, `Stream ${PIECES} pieces.`, 1);
      // The first round is a warm-up.
      if (round === 0) continue;
      latency[at]?.push(spreadOf(turns?.ms ?? []).median);
      speed[at]?.push((1_000 * (long?.messages ?? 0)) / (long?.ms[0] ?? Number.NaN));
    }
  }
  const ratio = ([local = [], elsewhere = []]: number[][]): string =>
    figureOf(
      elsewhere.map((figure, round) => figure / (local[round] ?? Number.NaN)),
      2,
    );
  const more = (latency[1] ?? []).map((figure, round) => figure - (latency[0]?.[round] ?? Number.NaN));
  return {
    "turn on its own node, ms": figureOf(latency[0] ?? [], 1),
    "turn from another node, ms": figureOf(latency[1] ?? [], 1),
    "turn, remote over local": ratio(latency),
    "turn, remote above local, ms": figureOf(more, 1),
    "messages/s on its own node": figureOf(speed[0] ?? []),
    "messages/s from another node": figureOf(speed[1] ?? []),
    "messages/s, remote over local": ratio(speed),
  };
}
