import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type CapacityOptions, type Session, Supervisor, template } from "../src/index.ts";
import { type Backend, realClaude } from "./backend.ts";
import { BareSession } from "./bare-session.ts";
import type { Line, Row } from "./line.ts";
import { compete, type Rival, type Score } from "./rounds.ts";
import { quantileOf, spreadOf } from "./spread.ts";

const PROMPT = "Say something.";

/** How much longer than a warm turn of the bare SDK a new conversation may take from a spare, in milliseconds. */
const BUDGET_MS = 100;

/** How often to ask whether a process is ready, in milliseconds. */
const POLL_MS = 20;

/** How long nothing happens before each measurement, in milliseconds. Claude Code works a little after its handshake and after a turn. */
const QUIET_MS = 700;

/**
 * Measures the time from a prompt to the first piece of the answer's text: of a conversation with a running process (warm), of a
 * hibernated session with and without a touch before, and of a new session with and without a spare. Compares all of them to a
 * warm turn of the bare SDK.
 */
export const firstToken: Line = {
  name: "first-token",
  rounds: 25,
  measure: async ({ rounds, directory }) => {
    const backend = await realClaude();
    const bare = new BareSession(backend);
    await bare.ask(PROMPT);
    const plain = await start("talk", backend, directory, { spares: 0 });
    const spared = await start("spared", backend, directory, {});
    const [warm, asleep, touched] = ["warm", "asleep", "touched"].map((key) => plain.session(["talk", key]));
    if (warm === undefined || asleep === undefined || touched === undefined) throw new Error("no session");
    for (const session of [warm, asleep, touched]) await session.query(PROMPT);
    const rivals: Rival[] = [
      { name: "bare SDK", round: quietly(() => bare.firstToken(PROMPT)) },
      { name: "warm", round: quietly(() => firstOf(warm)) },
      {
        name: "touched",
        round: async () => {
          await touched.hibernate();
          await touched.touch();
          await until(() => touched.status().state === "idle");
          return await quietly(() => firstOf(touched))();
        },
      },
      { name: "spare", round: () => fresh(spared, "spared", 1) },
      {
        name: "hibernated",
        round: async () => {
          await asleep.hibernate();
          return await quietly(() => firstOf(asleep))();
        },
      },
      { name: "cold", round: () => fresh(plain, "talk", 0) },
    ];
    const scores = await compete(rivals, rounds);
    const { hits, misses } = spared.capacity().spares;
    if (Object.keys(misses).length > 0) throw new Error(`spares were missed: ${JSON.stringify({ hits, misses })}`);
    await Promise.all([plain.stop(), spared.stop(), bare.end()]);
    await backend.close();
    return rowsOf(backend.name, scores);
  },
};

async function start(
  name: string,
  backend: Backend,
  directory: string,
  capacity: CapacityOptions,
): Promise<Supervisor> {
  const journal = { sqlite: join(directory, `${randomUUID()}.db`) };
  return await Supervisor.start([template(name)], { journal, capacity, defaults: backend.options });
}

/** The first turn of a new session, once this number of spares is ready. */
async function fresh(supervisor: Supervisor, name: string, spares: number): Promise<number> {
  await until(() => supervisor.capacity().spares.ready === spares);
  const session = supervisor.session([name, randomUUID()]);
  const ms = await quietly(() => firstOf(session))();
  await supervisor.terminateSession(session);
  // The start of the next spare is not to disturb the next measurement.
  await until(() => supervisor.capacity().spares.ready === spares);
  return ms;
}

/** Returns the milliseconds until the first piece of the answer's text, after the end of the answer. */
async function firstOf(session: Session): Promise<number> {
  const since = performance.now();
  let ms: number | undefined;
  for await (const _ of session.stream(PROMPT).text()) ms ??= performance.now() - since;
  if (ms === undefined) throw new Error("the answer has no text");
  return ms;
}

function quietly(measure: () => Promise<number>): () => Promise<number> {
  return async () => {
    await setTimeout(QUIET_MS);
    return await measure();
  };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setTimeout(POLL_MS);
}

function rowsOf(on: string, [bare, ...scores]: readonly Score[]): Row[] {
  if (bare === undefined) throw new Error("no bare SDK");
  const row = { on, unit: "ms" };
  return [
    { ...row, what: "first token, bare SDK, warm", bare: bare.figure, p99: quantileOf(bare.figures, 0.99) },
    ...scores.map(({ name, figures, figure, ratio }) => {
      const what = `first token, ${name}`;
      return { ...row, what, castellan: figure, p99: quantileOf(figures, 0.99), ratio };
    }),
    ...scores.flatMap((score): Row[] => {
      if (score.name !== "spare") return [];
      const castellan = over(score.figures, bare.figures);
      return [{ ...row, what: "spare, less the bare warm turn", castellan, budget: { atMost: BUDGET_MS } }];
    }),
  ];
}

/** The difference of each figure to another rival's in the same round. */
function over(figures: readonly number[], others: readonly number[]): Row["castellan"] & object {
  return spreadOf(figures.map((figure, round) => figure - (others[round] ?? Number.NaN)));
}
