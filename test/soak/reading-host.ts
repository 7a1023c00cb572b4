import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FarClaude } from "../../bench/far-claude.ts";
import { randomFrom } from "../../bench/random.ts";
import { CastellanError, formatInspection, Supervisor, stream, template } from "../../src/index.ts";
import { follow } from "../../src/telemetry/follow.ts";
import { liveHeap } from "./load-trend.ts";

/*
 * An application with many turns, whose readers come and go: some read to the end, some leave early, some never return.
 * It reports the heap after a number of turns, and what is open after its stop.
 */

const [, , count = "20000", seed = "1"] = process.argv;
const TURNS = Number(count);
const EARLY = TURNS / 10;
const random = randomFrom(Number(seed));
const unhandled: string[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(String(reason)));

const directory = mkdtempSync(join(tmpdir(), "castellan-readers-"));
const far = await FarClaude.start();
const log = { info: () => {}, warn: () => {} };

/** Returns the number of active resources by kind. */
function open(): Record<string, number> {
  const kinds = Object.groupBy(process.getActiveResourcesInfo(), (kind) => kind);
  return Object.fromEntries(Object.entries(kinds).map(([kind, all = []]) => [kind, all.length]));
}

const counts: Record<string, number> = {};
const failures: Record<string, number> = {};

/** The actions of readers. */
const READERS: Readonly<Record<string, (supervisor: Supervisor, index: number, prompt: string) => Promise<unknown>>> = {
  async readsAll(_, index, prompt) {
    for await (const _text of stream(["user", index], prompt).text());
  },
  async leaves(_, index, prompt) {
    const turn = stream(["user", index], prompt);
    for await (const _message of turn) break;
    await turn.result();
  },
  async forgets(_, index, prompt) {
    const turn = stream(["user", index], prompt);
    void turn[Symbol.asyncIterator]().next();
    await turn.result();
  },
  async events(supervisor, index, prompt) {
    const events = supervisor.session(["user", index]).events();
    void events.next();
    await supervisor.query(["user", index], prompt);
    if (random() < 0.5) void events.return();
  },
  async follows(supervisor, index, prompt) {
    const end = follow(["user", index], { logger: log });
    await supervisor.query(["user", index], prompt);
    end();
  },
  async page(_, index, prompt) {
    const turn = stream(["user", index], prompt);
    const reader = turn.toResponse().body?.getReader();
    await reader?.read();
    if (random() < 0.5) await reader?.cancel();
    await turn.result();
  },
  async byId(supervisor, index, prompt) {
    const session = supervisor.session(["user", index]);
    const id = await session.enqueue(prompt);
    const turn = await session.turn(id);
    await turn?.result();
  },
  async inspects(supervisor, index, prompt) {
    if (random() < 0.02) formatInspection(supervisor.inspect());
    await supervisor.query(["user", index], prompt, { idempotencyKey: `${index} ${prompt}` });
  },
};

const readerKinds = Object.entries(READERS);
const samples: { turns: number; heap: number }[] = [];

async function run(turns: number, sqlite: string, sampled: boolean): Promise<void> {
  const supervisor = await Supervisor.start([template("user", { idleTimeout: "1s" }, { maxSessions: 60 })], {
    name: `readers-${sqlite}`,
    journal: { sqlite: join(directory, sqlite) },
    capacity: { maxProcesses: 8 },
    logger: log,
    defaults: { spawnClaudeCodeProcess: far.spawn },
  });
  let begun = 0;
  let done = 0;
  const call = async (): Promise<void> => {
    while (begun < turns) {
      const number = begun++;
      const [name, reader] = readerKinds[Math.floor(random() * readerKinds.length)] ?? readerKinds[0] ?? [];
      if (name === undefined || reader === undefined) return;
      counts[name] = (counts[name] ?? 0) + 1;
      await reader(supervisor, Math.floor(random() * 40), `prompt ${number}`).catch((error: unknown) => {
        const code = CastellanError.is(error) ? error.code : String(error);
        failures[code] = (failures[code] ?? 0) + 1;
      });
      done += 1;
      if (sampled && (done === EARLY || done === TURNS)) samples.push({ turns: done, heap: liveHeap() });
    }
  };
  await Promise.all(Array.from({ length: 16 }, call));
  await supervisor.stop();
}

/** Resolves once nothing changes any more: handles close a moment after they are told to. */
async function rested(): Promise<Record<string, number>> {
  for (let before = open(), round = 0; ; before = open(), round++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    if (round > 20 || (round > 2 && JSON.stringify(before) === JSON.stringify(open()))) return open();
  }
}

// The first run opens what stays open for the life of the host.
await run(200, "first.db", false);
const before = await rested();
const began = performance.now();
await run(TURNS, "second.db", true);
const seconds = Math.round((performance.now() - began) / 1_000);
const after = await rested();
const [early, late] = samples;
const mb = (bytes = 0): number => Math.round((bytes / 2 ** 20) * 10) / 10;
process.stdout.write(
  `${JSON.stringify({
    turns: TURNS,
    seconds,
    early: mb(early?.heap),
    late: mb(late?.heap),
    ratio: Math.round(((late?.heap ?? 0) / (early?.heap ?? 1)) * 1_000) / 1_000,
    atRest: mb(liveHeap()),
    readers: counts,
    failures,
    before,
    after,
    unhandled,
  })}\n`,
);
rmSync(directory, { recursive: true, force: true });
process.exit();
