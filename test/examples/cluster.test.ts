import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { ask, conversationsOf, move, open, summarise, where } from "../../examples/cluster/client.ts";
import { createApp } from "../../examples/tutorial/07-live/app.ts";
import { startChats } from "../../examples/tutorial/07-live/chats.ts";
import { parentDeathPrefix } from "../../src/claude/parent-death.ts";
import { global, session } from "../../src/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { onFake } from "./on-fake.ts";

const SECRET = "what-all-nodes-know-and-nobody-else-does";
const NODE = join(import.meta.dirname, "../../examples/cluster/node.ts");
const ON_FAKE = join(import.meta.dirname, "cluster-on-fake.ts");

let server: PostgresServer;
let conversations: string;
const nodes = new Map<string, ChildProcess>();

beforeAll(async () => {
  [server, conversations] = await Promise.all([
    PostgresServer.start(),
    mkdtemp(join(tmpdir(), "castellan-conversations-")),
  ]);
  await Promise.all(["one", "two", "three"].map((name) => start(name)));
});

afterAll(async () => {
  await Promise.all([...nodes.keys()].map((name) => end(name, "SIGKILL")));
  await server?.remove();
  await rm(conversations, { recursive: true, force: true });
});

/** Resolves once the node has joined. */
async function start(name: string): Promise<void> {
  const command = [process.execPath, "--import", ON_FAKE, NODE];
  const [program = "", ...args] = [...(await parentDeathPrefix()), ...command];
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      NODE_NAME: name,
      DATABASE_URL: server.url(),
      CASTELLAN_SECRET: SECRET,
      CASTELLAN_ADVERTISE: "http://127.0.0.1:0",
      CASTELLAN_BEAT: "100ms",
      CASTELLAN_STALE_AFTER: "1s",
      CASTELLAN_JOURNAL: "memory",
      PROBES_PORT: "0",
      FAKE_CONVERSATIONS: conversations,
    },
  });
  nodes.set(name, child);
  const said: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => said.push(line));
  const ended = once(child, "exit").then(() => Promise.reject(new Error(`node ${name} ended:\n${said.join("\n")}`)));
  ended.catch(() => {});
  await Promise.race([once(createInterface({ input: child.stdout }), "line"), ended]);
}

async function end(name: string, signal: NodeJS.Signals): Promise<void> {
  const child = nodes.get(name);
  nodes.delete(name);
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill(signal);
  await gone;
}

test("cluster/: continues a conversation when its node is moved, killed or terminated", async () => {
  const cluster = open({ postgres: server.url(), secret: SECRET });
  onTestFinished(() => cluster.close());
  // A node that the machine has delayed for a second joins again.
  const states = async () => (await cluster.nodes()).map(({ name, state }) => [name, state]);
  await expect.poll(states, { timeout: 10_000 }).toEqual([
    ["one", "alive"],
    ["three", "alive"],
    ["two", "alive"],
  ]);
  const first = await ask(cluster, 42, "I am Ada", "m1");
  expect(first).toBe("I am Ada (after [])");
  // The same message id returns the same turn.
  expect(await ask(cluster, 42, "I am Ada", "m1")).toBe(first);

  const before = (await where(cluster, 42)).replace("idle on ", "");
  const moved = await move(cluster, 42);
  expect(moved).not.toBe(before);
  expect(await ask(cluster, 42, "Where are you?", "m2")).toBe('Where are you? (after ["I am Ada"])');
  expect(await where(cluster, 42)).toBe(`idle on ${moved}`);

  await end(moved, "SIGKILL");
  const after = await ask(cluster, 42, "Who am I?", "m3");
  expect(after).toBe('Who am I? (after ["I am Ada","Where are you?"])');
  const next = (await where(cluster, 42)).replace("idle on ", "");
  expect([...nodes.keys()]).toContain(next);

  await end(next, "SIGTERM");
  expect(await ask(cluster, 42, "Still there?", "m4")).toMatch(
    /after \["I am Ada","Where are you\?","Who am I\?"\]\)$/,
  );
  const [last] = [...nodes.keys()];
  expect(await where(cluster, 42)).toBe(`idle on ${last}`);
  await cluster.session(global(["support", 42])).describe({ title: "Ada", labels: { tenant: "acme" } });
  expect(await conversationsOf(cluster, "acme")).toEqual(["Ada"]);
  // Nobody has queried the reviewer. The remaining node claims it at its next beat.
  await expect
    .poll(async () => (await cluster.listSessions()).map(({ name, node }) => [name, node]))
    .toEqual([
      [["global", "reviewer"], last],
      [["global", "support", 42], last],
    ]);
  const documents = new Map([
    ["a", "first"],
    ["b", "second"],
  ]);
  const summaries = await summarise(cluster, documents);
  expect(summaries).toEqual(["Summarise this:\nfirst (after [])", "Summarise this:\nsecond (after [])"]);
  expect(await summarise(cluster, documents)).toEqual(summaries);
});

test("tutorial/07-live: a machine joins the cluster, and answers its users", async () => {
  const { options } = onFake(async (turn) => {
    const decision = await turn.askPermission("Bash", { command: "touch note" });
    await turn.text(decision.behavior);
  });
  await expect(startChats(options)).rejects.toThrow("Set DATABASE_URL.");
  vi.stubEnv("DATABASE_URL", server.url());
  vi.stubEnv("CHAT_SECRET", SECRET);
  vi.stubEnv("CHAT_ADVERTISE", "http://127.0.0.1:0");
  onTestFinished(() => void vi.unstubAllEnvs());
  await using _supervisor = await startChats(options);
  const app = createApp();
  const accepted = await app.request("/ada/turns", { method: "POST", body: "note" });
  const { id } = (await accepted.json()) as { readonly id: string };
  const chat = session(global(["chat", "ada"]));
  await vi.waitUntil(async () => (await chat.approvals()).length === 1);
  const [approval] = await chat.approvals();
  const yes = { method: "POST", body: JSON.stringify({ approve: true }) };
  expect((await app.request(`/ada/approvals/${approval?.id}`, yes)).status).toBe(204);
  expect((await app.request(`/ada/approvals/${approval?.id}`, yes)).status).toBe(409);
  expect(await (await app.request(`/ada/turns/${id}`)).text()).toContain('"text":"allow"');
  const said = [
    { who: "you", text: "note" },
    { who: "claude", text: "allow" },
  ];
  expect(await (await app.request("/ada/said")).json()).toEqual({ said });
});
