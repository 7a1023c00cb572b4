import { expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { postgresEngine } from "../../src/cluster/postgres/postgres-engine.ts";
import { node } from "../cluster/engine-conformance.ts";
import { PostgresServer } from "../journal/postgres-server.ts";

it("postgresEngine claim: gives each of two hundred sessions one owner when twenty nodes claim at once", async () => {
  const server = await PostgresServer.start();
  onTestFinished(() => server.remove());
  const where = server.fresh();
  const engines = Array.from({ length: 10 }, () =>
    postgresEngine({ ...where, renewTimeoutMs: 5_000, listen: false }, systemClock),
  );
  onTestFinished(async () => void (await Promise.all(engines.map((engine) => engine.close()))));
  const boots = Array.from({ length: 20 }, (_, n) => `node ${n}`);
  for (const boot of boots) await engines[0]?.join(node(boot, { staleMs: 60_000 }));
  const keys = Array.from({ length: 200 }, (_, n) => `["global",${n}]`);
  const taken = new Map<string, string[]>();
  await Promise.all(
    boots.map(async (boot, b) => {
      for (const at of keys.keys()) {
        const key = keys[(at + b * 10) % keys.length] ?? "";
        const claim = await engines[b % engines.length]?.claim(boot, key);
        if (claim?.taken) taken.set(key, [...(taken.get(key) ?? []), `${boot} ${claim.epoch}`]);
      }
    }),
  );
  expect([...taken.values()].flat()).toHaveLength(keys.length);
  for (const session of (await engines[0]?.sessions("")) ?? []) {
    expect(taken.get(JSON.stringify(session.name))).toEqual([`${session.boot} 1`]);
  }
});
