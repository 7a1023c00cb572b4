import { once } from "node:events";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { query } from "../../src/castellan.ts";
import { connect } from "../../src/connect.ts";
import { type ChildOptions, type ClusterOptions, global, pool, Supervisor, template } from "../../src/index.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { failure, RejectionWatch, unique } from "../session-on-fake/scene.ts";

const SECRET = "a secret of at least thirty-two characters";
const CHILDREN: readonly ChildOptions[] = [template(global("chat")), pool(global("crew"), { size: 1 })];

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

/**
 * Returns the options and starters of a node in a cluster of its own. The prompt `hang` gets an answer that never ends.
 */
function place(options: Partial<ClusterOptions> = {}) {
  const fake = fakeClaude(async (turn) => {
    await turn.text(`You said: ${turn.prompt}`);
    if (turn.prompt === "hang") await turn.hang();
  });
  const watch = new RejectionWatch();
  onTestFinished(async () => {
    await watch.end();
    expect(fake.running, "processes that outlived their supervisor").toEqual([]);
    expect(fake.errors).toEqual([]);
  });
  const cluster: ClusterOptions = {
    ...server.fresh(),
    secret: SECRET,
    advertise: "http://127.0.0.1:0",
    patience: "20s",
    name: "one",
    ...options,
  };
  const start = async (children: readonly ChildOptions[] = CHILDREN, changed: Partial<ClusterOptions> = {}) => {
    const defaults = { spawnClaudeCodeProcess: fake.spawn };
    const logger = { info: () => {}, warn: () => {} };
    const supervisor = await Supervisor.start(children, { defaults, logger, cluster: { ...cluster, ...changed } });
    onTestFinished(() => supervisor.stop());
    return supervisor;
  };
  const connected = () => {
    const { postgres, schema = "castellan", secret, patience = "20s" } = cluster;
    const client = connect({ postgres, schema, secret, patience });
    onTestFinished(() => client.close());
    return client;
  };
  return { fake, cluster, start, connected };
}

/** Starts a turn and resolves once it has begun its endless answer. */
async function hanging(supervisor: Supervisor, ...key: [string, ...(string | number)[]]) {
  const turn = supervisor.stream(global(key), "hang");
  for await (const text of turn.text()) if (text.includes("hang")) break;
  return turn;
}

describe("Supervisor.start in a cluster", () => {
  test("rejects with INVALID_OPTIONS when its port is in use, and leaves nothing behind", async () => {
    const squatter = createServer().listen(0, "127.0.0.1");
    await once(squatter, "listening");
    onTestFinished(() => void squatter.close());
    const address = squatter.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { start, connected } = place();
    const local = unique();
    const children = [{ name: local }, ...CHILDREN];
    const listen = { host: "127.0.0.1", port };
    const error = await failure(start(children, { listen }), "INVALID_OPTIONS");
    expect(error.message).toContain(`cannot listen on 127.0.0.1 port ${port}`);
    await failure(query(local, "hi"), "SESSION_NOT_FOUND");
    await failure(query(global(["chat", 1]), "hi"), "CLUSTER_UNAVAILABLE");
    const supervisor = await start(children);
    expect(await connected().nodes()).toMatchObject([{ name: "one", state: "alive" }]);
    expect((await supervisor.query(global(["chat", 1]), "hi")).text).toBe("You said: hi");
  });

  test.each(["a wrong password", "a database that is away"])(
    "rejects with DATABASE_UNAVAILABLE and the address for %s",
    async (what) => {
      const away = what === "a wrong password" ? undefined : 1;
      const url = new URL(server.url(away === undefined ? {} : { port: away }));
      if (away === undefined) url.password = "wrong";
      const { start } = place({ postgres: url.href });
      const local = unique();
      const error = await failure(start([{ name: local }, ...CHILDREN]), "DATABASE_UNAVAILABLE");
      expect(error.message).toContain(`127.0.0.1:${url.port}`);
      expect(error.message).not.toContain("wrong");
      await failure(query(local, "hi"), "SESSION_NOT_FOUND");
    },
  );

  test("rejects with SESSION_ALREADY_STARTED for a second node in one process, and the first continues", async () => {
    const { start, connected } = place();
    const first = await start();
    const error = await failure(start([template(global("chat"))], { name: "two" }), "SESSION_ALREADY_STARTED");
    expect(error.message).toContain("already is a node of a cluster");
    expect(await connected().nodes()).toMatchObject([{ name: "one", state: "alive" }]);
    expect((await query(global(["chat", 1]), "hi")).text).toBe("You said: hi");
    await first.stop();
    expect((await (await start()).query(global(["chat", 1]), "hi")).text).toBe("You said: hi");
  });
});

describe("a node of a cluster", () => {
  test("shows its sessions, labels and limits", async () => {
    const { start } = place({ labels: { zone: "east" }, maxProcesses: 3 });
    const { cluster } = await start([{ name: global("reviewer"), systemPrompt: "You review." }]);
    const session = cluster?.session(global("reviewer"));
    expect(await session?.status()).toMatchObject({ name: ["global", "reviewer"], node: "one" });
    await session?.wake();
    const inspection = { kind: "session", options: { systemPrompt: { value: "You review." } } };
    expect(await session?.inspect()).toMatchObject(inspection);
    expect(await cluster?.nodes()).toMatchObject([{ name: "one", maxProcesses: 3, labels: { zone: "east" } }]);
    const error = await failure(Promise.resolve(cluster?.move(global("reviewer"), "nobody")), "INVALID_OPTIONS");
    expect(error.message).toContain("the nodes are one");
  });

  test("does not serve a global session that it does not own by its plain name", async () => {
    const { start } = place();
    const supervisor = await start();
    await supervisor.query(global(["chat", 1]), "hi");
    const error = await failure(query(["global", "chat", 2], "hi"), "SESSION_NOT_FOUND");
    expect(error.message).toContain("`global(…)`");
    // It still owns its session.
    expect(await supervisor.cluster?.listSessions()).toEqual([{ name: ["global", "chat", 1], node: "one", epoch: 1 }]);
    expect((await supervisor.query(global(["chat", 2]), "hi")).text).toBe("You said: hi");
    expect(supervisor.readyz().ok).toBe(true);
  });

  test("rejects wrong arguments with INVALID_OPTIONS and the field", async () => {
    const { start } = place();
    const supervisor = await start();
    const session = supervisor.session(global(["chat", 1]));
    // @ts-expect-error: a caller without types may pass this
    const error = await failure(session.setModel(7), "INVALID_OPTIONS");
    expect(error.details.problems[0]?.field).toBe("setModel");
    await failure(supervisor.query(global(["unknown", 1]), "hi", { timeout: "100ms" }), "TURN_TIMEOUT");
    await failure(supervisor.session(global("crew")).clear(), "INVALID_OPTIONS");
  });
});

describe("a turn of a global pool", () => {
  test("is interrupted on the node that runs it", async () => {
    const { start } = place();
    const turn = await hanging(await start(), "crew");
    await turn.interrupt();
    await failure(turn.result(), "TURN_INTERRUPTED");
  });
});

describe("Supervisor.stop and drain in a cluster", () => {
  test("end global turns at once, and share one end", async () => {
    const { start } = place();
    const supervisor = await start();
    const turn = await hanging(supervisor, "chat", 1);
    await Promise.all([supervisor.stop(), supervisor.stop(), supervisor.drain({ deadline: "1m" })]);
    await failure(turn.result(), "CLUSTER_UNAVAILABLE");
    await supervisor.drain();
    await failure(query(global(["chat", 1]), "hi"), "CLUSTER_UNAVAILABLE");
  });

  test("end at once when a stop follows a drain", async () => {
    const { start } = place();
    const supervisor = await start();
    const turn = await hanging(supervisor, "chat", 1);
    const drained = supervisor.drain({ deadline: "10m" });
    await supervisor.stop({ kill: true });
    expect(await drained).toEqual({ completed: expect.any(Boolean) });
    await failure(turn.result(), "CLUSTER_UNAVAILABLE");
  });

  test("leave enqueued turns to the next node", async () => {
    const { start } = place();
    const first = await start();
    await hanging(first, "chat", 1);
    const id = await first.session(global(["chat", 1])).enqueue("later");
    await first.stop();
    const turn = await (await start()).session(global(["chat", 1])).turn(id);
    expect((await turn?.result())?.text).toBe("You said: later");
  });

  test("reject events of a global pool's turn with INVALID_OPTIONS", async () => {
    const { start } = place();
    const supervisor = await start();
    const turn = supervisor.stream(global("crew"), "hi");
    await failure(Array.fromAsync(turn.events()), "INVALID_OPTIONS");
    expect((await turn.result()).text).toBe("You said: hi");
  });

  test("end a reader that waits for an event when it leaves", async () => {
    const { start } = place();
    const supervisor = await start();
    await query(global(["chat", 1]), "hi");
    const events = supervisor.session(global(["chat", 1])).events({ types: ["fault"] });
    const next = events.next();
    await events.return();
    expect(await next).toEqual({ done: true, value: undefined });
  });

  test("end only a client's own calls when the client closes", async () => {
    const { start, connected } = place();
    const supervisor = await start();
    const client = connected();
    const session = client.session(global(["chat", 1]));
    const turn = session.stream("hang");
    for await (const text of turn.text()) if (text.includes("hang")) break;
    const events = session.events();
    const nothing = events.next();
    const waiting = failure(session.query("and then"), "CLUSTER_UNAVAILABLE");
    await Promise.all([client.close(), client.close(), client[Symbol.asyncDispose]()]);
    expect(client.closed).toBe(true);
    await failure(turn.result(), "CLUSTER_UNAVAILABLE");
    await waiting;
    expect(await nothing).toEqual({ done: true, value: undefined });
    const closed = [client.nodes(), client.listSessions(), session.query("hi"), session.status(), session.wake()];
    await Promise.all(closed.map((call) => failure(call, "CLUSTER_UNAVAILABLE")));
    expect((await supervisor.session(global(["chat", 1])).status()).state).toBe("busy");
    // Global names of this process go through its node again.
    await supervisor.session(global(["chat", 1])).interrupt();
    expect((await query(global(["chat", 1]), "hi")).text).toBe("You said: hi");
  });
});
