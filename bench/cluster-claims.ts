import { systemClock } from "../src/clock.ts";
import { postgresEngine } from "../src/cluster/postgres/postgres-engine.ts";
import type { Engine } from "../src/cluster/protocol/engine.ts";
import { nameKey } from "../src/names.ts";
import type { PostgresServer } from "../test/journal/postgres-server.ts";
import { timed } from "./rounds.ts";
import { figureOf } from "./spread.ts";

const ROUNDS = 9;
const CLAIMS = 1_000;
const AT_ONCE = 16;

/** Measures the claims per second of an otherwise idle node. */
export async function claims(server: PostgresServer): Promise<Record<string, string>> {
  const engine = postgresEngine({ ...server.fresh(), renewTimeoutMs: 5_000, listen: false }, systemClock);
  try {
    await engine.join({
      boot: "one",
      name: "one",
      address: "http://127.0.0.1:1",
      protocols: [1, 1],
      release: "0",
      labels: {},
      hosts: { sessions: [], templates: ["chat"], pools: [] },
      maxProcesses: undefined,
      staleMs: 3_600_000,
    });
    const one: number[] = [];
    const many: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      one.push(await perSecond(engine, `one${round}`, CLAIMS / 4, 1));
      many.push(await perSecond(engine, `many${round}`, CLAIMS, AT_ONCE));
    }
    return { "claims/s, one after the other": figureOf(one), [`claims/s, ${AT_ONCE} at once`]: figureOf(many) };
  } finally {
    await engine.close();
  }
}

async function perSecond(engine: Engine, round: string, count: number, atOnce: number): Promise<number> {
  const keys = Array.from({ length: count }, (_, at) => nameKey(["global", "chat", round, at])).values();
  const ms = await timed(() =>
    Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (const key of keys) await engine.claim("one", key);
      }),
    ),
  );
  return (1_000 * count) / ms;
}
