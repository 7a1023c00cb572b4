import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type CastellanError, global } from "../../src/index.ts";
import { RealCluster } from "../cluster/real-cluster.ts";
import { PostgresServer } from "../journal/postgres-server.ts";

const SPANS = { beat: "300ms", staleAfter: "3s", margin: "500ms", patience: "30s" } as const;
const CREW = global("crew");

/** Two nodes with two members each, and a file that each turn `note` writes to. */
async function crew() {
  const server = await PostgresServer.start();
  onTestFinished(() => server.remove());
  const folder = await mkdtemp(join(tmpdir(), "castellan-pool-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const cluster = await RealCluster.start({ server, claude: "fake", cluster: SPANS, deadlineMs: 500 }, "one", "two");
  onTestFinished(() => cluster[Symbol.asyncDispose]());
  const file = join(folder, "noted");
  return {
    cluster,
    prompt: (n: number) => `note ${file} ${n}`,
    noted: async () => (await readFile(file, "utf8").catch(() => "")).split("\n").filter(Boolean).map(numberIn),
  };
}

function numberIn(text: string): number {
  return Number(/^note \S+ (\d+)/.exec(text)?.[1]);
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

/** Occupies all members of both nodes. Returns the turns by the pid of their node. */
async function occupied(cluster: RealCluster) {
  const turns = numbers(4).map(() => cluster.client.stream(CREW, "hang"));
  for (const turn of turns) for await (const text of turn.text()) if (text === "begun") break;
  return turns;
}

async function codeOf(result: Promise<unknown>): Promise<string | undefined> {
  return await result.then(
    () => undefined,
    ({ code }: CastellanError) => code,
  );
}

test("turns that reach a frozen node run once, on another one", async () => {
  const { cluster, prompt, noted } = await crew();
  const first = cluster.node("one");
  // Both nodes are known, and count as alive.
  await cluster.client.query(CREW, prompt(100));
  first.kill("SIGSTOP");
  const replies = await Promise.all(numbers(8).map((n) => cluster.client.query(CREW, prompt(n))));
  const pid = cluster.node("two").pid;
  expect(replies.map(({ text }) => text.endsWith(`on ${pid}`))).toEqual(replies.map(() => true));
  first.kill("SIGCONT");
  await expect.poll(async () => (await first.look()).ready, { timeout: 20_000 }).toBe(true);
  await expect.poll(() => first.warnings.length, { timeout: 20_000 }).toBeGreaterThan(0);
  expect((await cluster.client.query(CREW, prompt(101))).text).toContain(" on ");
  expect((await noted()).toSorted((one, other) => one - other)).toEqual([...numbers(8), 100, 101]);
});

test.each([
  ["is killed", "SIGKILL"],
  ["drains", "SIGTERM"],
] as const)("turns that wait for a member run once, on another node, when theirs %s", async (_, signal) => {
  const { cluster, prompt, noted } = await crew();
  const running = await occupied(cluster);
  const waiting = numbers(8).map((n) => cluster.client.query(CREW, prompt(n)));
  const one = cluster.node("one");
  one.kill(signal);
  await one.gone;
  // What may have run is told.
  await expect.poll(() => running.filter(({ state }) => state === "interrupted").length, { timeout: 20_000 }).toBe(2);
  for (const turn of running) await turn.interrupt();
  expect(await Promise.all(running.map((turn) => codeOf(turn.result())))).toEqual(
    running.map(() => "TURN_INTERRUPTED"),
  );
  const pid = cluster.node("two").pid;
  const replies = await Promise.all(waiting);
  expect(replies.map(({ text }) => text.endsWith(`on ${pid}`))).toEqual(replies.map(() => true));
  expect((await noted()).toSorted((a, b) => a - b)).toEqual(numbers(8));
});
