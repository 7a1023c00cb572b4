import { expect, it, onTestFinished } from "vitest";
import type { Batch } from "../../src/journal/model/change.ts";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { postgresSessionStore } from "../../src/journal/postgres/postgres-session-store.ts";
import { ReplicatedServer } from "../cluster/replicated-server.ts";
import { SeverableLine } from "../cluster/severable-line.ts";
import type { PostgresServer } from "../journal/postgres-server.ts";
import { TransactionPooler } from "../journal/transaction-pooler.ts";

const KEY = { projectKey: "proj", sessionId: "sess" };
const ENTRY = { type: "user", uuid: "u1" };

function accepted(number: number): Batch {
  const prompt = `prompt ${number}`;
  const turn = { id: `t${number}`, session: '"a"', prompt, position: number, durable: true, acceptedAt: number };
  return { number, durable: true, changes: [{ type: "turn_accepted", turn }] };
}

it("PostgreSQL failover behind a pooler with a plain role: restores the commits that the replica lacks", {
  timeout: 60_000,
}, async () => {
  const servers = await ReplicatedServer.start();
  const { primary, standby } = servers;
  await primary.sql("create role plain login password 'plain'");
  await primary.sql("grant create on database postgres to plain");
  const pooled = async (of: PostgresServer): Promise<number> => {
    const pooler = await TransactionPooler.start(asPlain(of.url()), 4);
    onTestFinished(() => pooler.stop());
    return pooler.port;
  };
  const line = await SeverableLine.start(await pooled(primary));
  onTestFinished(() => line.stop());
  const place = { postgres: asPlain(primary.url({ port: line.port })), schema: "castellan" };
  const [journal, transcripts] = [postgresJournal(place), postgresSessionStore(place)];
  await journal.open({ id: "first", pid: 11, host: "one", startedAt: 1_700_000_000_000 });
  onTestFinished(() => journal.close());
  onTestFinished(() => transcripts.close());
  await journal.write(accepted(1));
  await transcripts.append(KEY, [ENTRY]);
  await servers.replicated();
  servers.lag();
  await journal.write(accepted(2));
  const fresh = { ...KEY, sessionId: "fresh" };
  await transcripts.append(fresh, [ENTRY]);
  await primary.end("crash");
  await standby.promote();
  line.redirect(await pooled(standby));
  await expect
    .poll(async () => {
      const turns = await journal.unfinishedTurns(['"a"']).catch(() => []);
      return turns.map(({ prompt }) => prompt);
    })
    .toEqual(["prompt 1", "prompt 2"]);
  expect(await transcripts.load(fresh)).toEqual([ENTRY]);
});

function asPlain(url: string): string {
  return url.replace(/\/\/[^@]*@/, "//plain:plain@");
}
