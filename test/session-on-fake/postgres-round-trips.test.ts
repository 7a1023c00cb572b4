import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import type { Session } from "../../src/session/session.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { PostgresProxy } from "../journal/postgres-proxy.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { ticks, unique, within } from "./scene.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

const TURNS = 5;

/** Returns the round trips to PostgreSQL per turn of concurrent sessions, whose clients ask one turn after the other. */
async function tripsPerTurn(sessions: number, ask: (session: Session) => Promise<unknown>): Promise<number> {
  const clock = new SimulatedClock();
  const fake = fakeClaude(async (turn) => {
    await turn.partial("It is ");
    // Long enough for a batch of what was said so far.
    await ticks(20);
    await turn.text("done.");
  });
  const proxy = await PostgresProxy.start(server.port);
  const journal = postgresJournal({ ...server.fresh(proxy.port), clock });
  const names = Array.from({ length: sessions }, () => unique());
  const supervisor = await within(
    clock,
    run(
      { fake, journal, clock },
      names.map((name) => ({ name })),
    ),
  );
  const askAll = async (turns: number): Promise<void> => {
    const asking = names.map(async (name) => {
      for (let turn = 0; turn < turns; turn++) await ask(supervisor.session(name));
    });
    await Promise.all(asking);
  };
  await askAll(1);
  const before = proxy.roundTrips;
  await askAll(TURNS);
  const trips = proxy.roundTrips - before;
  await within(clock, supervisor.stop());
  await proxy.stop();
  expect(fake.errors).toEqual([]);
  return trips / (sessions * TURNS);
}

const ASKS: { readonly [how: string]: (session: Session) => Promise<unknown> } = {
  query: (session) => session.query("Is it done?"),
  enqueue: async (session) => await (await session.turn(await session.enqueue("Is it done?")))?.result(),
};

describe("A turn with a PostgreSQL journal", () => {
  for (const [how, ask] of Object.entries(ASKS)) {
    it(`takes two round trips to ${how}: its beginning and its end`, async () => {
      expect(await tripsPerTurn(1, ask)).toBe(2);
    });

    it(`takes less than a quarter of one to ${how} in each of fifty sessions, which share batches`, async () => {
      const trips = await tripsPerTurn(50, ask);
      expect(trips).toBeGreaterThan(0);
      expect(trips).toBeLessThan(0.25);
    });
  }
});
