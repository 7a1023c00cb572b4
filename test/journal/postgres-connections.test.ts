import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { Supervisor, template } from "../../src/index.ts";
import { PostgresDatabase } from "../../src/journal/postgres/postgres-database.ts";
import { postgresLocation } from "../../src/journal/postgres/postgres-location.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { PostgresServer } from "./postgres-server.ts";
import { SlowLine } from "./slow-line.ts";

let server: PostgresServer;
let line: SlowLine;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

beforeEach(async () => {
  line = await SlowLine.start(server.port);
});

afterEach(async () => {
  await line.stop();
});

async function database(postgres: string, connections: number): Promise<PostgresDatabase> {
  const made = await PostgresDatabase.load(postgresLocation({ postgres }), "journal", {
    timeoutMs: 5_000,
    connections,
  });
  onTestFinished(() => made.close());
  return made;
}

describe("connections to PostgreSQL", () => {
  it("of a process: are four, however many supervisors and sessions share its journal", async () => {
    const fake = fakeClaude();
    const journal = server.fresh(line.port);
    const supervisors = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        Supervisor.start([template(`user${n}`, () => ({ spawnClaudeCodeProcess: fake.spawn }))], {
          name: `app${n}`,
          journal,
        }),
      ),
    );
    const names = supervisors.flatMap((supervisor, n) =>
      Array.from({ length: 5 }, (_, user) => [supervisor, [`user${n}`, user]] as const),
    );
    const replies = await Promise.all(names.map(([supervisor, name]) => supervisor.query(name, "hi")));
    expect(replies).toHaveLength(50);
    await Promise.all(supervisors.map((supervisor) => supervisor.stop({ kill: true })));
    expect(line.most).toBeLessThanOrEqual(4);
    // None was replaced by another one either.
    expect(line.total).toBeLessThanOrEqual(4);
  });

  it("are made one at a time, after a growing pause, while the server cannot be reached", async () => {
    const refusing = await Refusing.start();
    const some = await database(`postgres://a:b@127.0.0.1:${refusing.port}/db`, 3);
    const read = (): Promise<unknown>[] => Array.from({ length: 500 }, () => some.read("select 1"));
    const errors = async (): Promise<unknown[]> =>
      (await Promise.allSettled(read())).map((result) => result.status === "rejected" && result.reason);
    const unreachable = { code: "JOURNAL_UNAVAILABLE", details: { reason: "unreachable", applied: false } };
    for (const error of await errors()) expect(error).toMatchObject(unreachable);
    expect(refusing.attempts).toHaveLength(3);
    for (let time = 0; time < 3; time++) for (const error of await errors()) expect(error).toMatchObject(unreachable);
    expect(refusing.attempts).toHaveLength(6);
    // Each pause is 50 ms doubled by each failure up to 2 s, and varied by half of it.
    for (const [index, pause] of refusing.pauses.slice(2).entries()) {
      expect(pause).toBeGreaterThanOrEqual(Math.min(2_000, 50 * 2 ** (index + 2)) / 2 - 2);
    }
  });

  it("serve the calls that wait although no other one can be made", async () => {
    await server.sql("create role two login password 'two' connection limit 2");
    const postgres = server.url().replace(/\/\/[^@]*@/, "//two:two@");
    const some = await database(postgres, 4);
    const reads = await Promise.all(Array.from({ length: 200 }, (_, n) => some.read("select $1::integer as n", [n])));
    expect(reads.flat()).toEqual(Array.from({ length: 200 }, (_, n) => ({ n })));
  });

  it("are used again as soon as the server is back", async () => {
    const some = await database(server.url(), 3);
    await some.read("select 1");
    await server.end();
    await expect(some.read("select 1")).rejects.toMatchObject({ details: { reason: "unreachable" } });
    await expect(some.read("select 1")).rejects.toMatchObject({ details: { reason: "unreachable" } });
    await server.start();
    expect(await Promise.all(Array.from({ length: 50 }, () => some.read("select 1 as one")))).toHaveLength(50);
  });

  it("to a server that takes no writes are replaced, so that the next one may lead to the primary", async () => {
    const some = await database(server.url(), 1);
    await server.sql("create table public.written (n integer)");
    const write = (): Promise<unknown> =>
      some.pipeline([{ text: "insert into public.written values (1)", values: [] }]);
    await write();
    const [role] = await server.sql<{ readonly name: string }>("select current_user as name");
    await server.sql(`alter role ${role?.name} set default_transaction_read_only = on`);
    await server.cutConnections();
    await write().catch(() => {});
    const readOnly = { details: { reason: "read_only", applied: false } };
    await expect(write()).rejects.toMatchObject(readOnly);
    await expect(some.transaction((query) => query("insert into public.written values (1)"))).rejects.toMatchObject(
      readOnly,
    );
    await server.writable(`alter role ${role?.name} reset default_transaction_read_only`);
    await write();
    await some.transaction((query) => query("insert into public.written values (1)"));
  });
});

describe("a commit whose wait for a synchronous standby was cancelled", () => {
  it("counts as unconfirmed, whether it was sent at once or not", async () => {
    const own = await PostgresServer.start({ synchronous_standby_names: "nobody" });
    onTestFinished(() => own.remove());
    // Creating the table must not wait.
    const setUp = await database(`${own.url()}?options=-c%20synchronous_commit%3Dlocal`, 1);
    await setUp.transaction((query) => query("create table public.written (n integer)"), { durable: false });
    const place = postgresLocation({ postgres: own.url() });
    const some = await PostgresDatabase.load(place, "journal", { timeoutMs: 5_000, connections: 1 });
    onTestFinished(() => some.close());
    const insert = { text: "insert into public.written values (1)", values: [] };
    const cancel =
      "select from (select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep') as c";
    for (const write of [() => some.pipeline([insert]), () => some.transaction((query) => query(insert.text))]) {
      const written = write().catch((error: unknown) => error);
      await expect.poll(() => own.sql(cancel), { timeout: 10_000 }).toHaveLength(1);
      const error = await written;
      expect(error).toMatchObject({
        code: "JOURNAL_UNAVAILABLE",
        details: { reason: "unreachable" },
        message: expect.stringContaining("synchronous_standby_names"),
      });
      expect(error).not.toHaveProperty("details.applied");
    }
    // The server has both.
    expect(await some.read("select count(*)::integer as count from public.written")).toEqual([{ count: 2 }]);
    await some.pipeline([insert], { durable: false });
  });
});

/** A server that ends each connection at once. */
class Refusing {
  readonly attempts: number[] = [];
  readonly #server = createServer((socket: Socket) => {
    this.attempts.push(performance.now());
    socket.destroy();
  });

  static async start(): Promise<Refusing> {
    const made = new Refusing();
    made.#server.listen(0, "127.0.0.1");
    await once(made.#server, "listening");
    onTestFinished(() => void made.#server.close());
    return made;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The times between the attempts, in milliseconds. */
  get pauses(): number[] {
    return this.attempts.slice(1).map((at, index) => at - (this.attempts[index] ?? at));
  }
}
