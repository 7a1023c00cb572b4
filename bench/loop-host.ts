import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fakeProcess } from "./backend.ts";
import { bareSdk } from "./bare-sdk.ts";
import { castellan, castellanOnSqlite } from "./castellan.ts";
import type { Contender, Conversations } from "./contender.ts";
import { type LoopFigures, LoopMeter } from "./loop-meter.ts";
import { bareStreams, servedStreams } from "./streams-served.ts";

/* One side of a load: measures the event loop of this process, and reports it to its parent. */

/** The first message: the load begins. The parent measures its own idle loop until the second message. */
export interface LoopBegun {
  readonly begun: true;
}

/** The second message. */
export interface LoopReport extends LoopFigures {
  /** What the side did meanwhile: turns, or events that reached their readers. */
  readonly done: number;
}

const SESSIONS = 50;
const PACE = "in 17 ms";

/** How long the load lasts, in milliseconds. */
const LONG_MS = 10_000;

/** Turns of all sessions that nobody measures. */
const WARM_UP = 20;

/** Every session answers one prompt after the other. */
async function busy(contender: Contender): Promise<LoopReport> {
  const conversations = await contender.open(fakeProcess(), SESSIONS);
  await ask(conversations, () => WARM_UP);
  const since = performance.now();
  const report = await measured(() => ask(conversations, () => (performance.now() - since < LONG_MS ? Infinity : 0)));
  await conversations.close();
  return report;
}

/** Asks each session until it has had `most` turns. Resolves with the number of all turns. */
async function ask({ ask: one }: Conversations, most: () => number): Promise<number> {
  let sum = 0;
  const askOne = async (_: unknown, session: number): Promise<void> => {
    for (let turn = 0; turn < most(); turn++) {
      await one(session, `Do number ${turn}, please, ${PACE}.`);
      sum += 1;
    }
  };
  await Promise.all(Array.from({ length: SESSIONS }, askOne));
  return sum;
}

/** A thousand streams are open, 20 of each session. Each session answers a prompt a second, in 20 pieces. */
async function streams(open: typeof bareStreams): Promise<LoopReport> {
  await using opened = await open(fakeProcess(), SESSIONS, 1_000);
  const turns = async (ms: number): Promise<void> => {
    const until = performance.now() + ms;
    const askOne = async (_: unknown, session: number): Promise<void> => {
      // The sessions do not answer all at once.
      await delay((session * 1_000) / SESSIONS);
      while (performance.now() < until) {
        await opened.ask(session, `Stream 20 pieces of a message, ${PACE}.`);
        await delay(1_000);
      }
    };
    await Promise.all(Array.from({ length: SESSIONS }, askOne));
  };
  await turns(1_000);
  const before = await opened.received();
  return await measured(async () => {
    await turns(LONG_MS);
    return (await opened.received()) - before;
  });
}

async function measured(load: () => Promise<number>): Promise<LoopReport> {
  process.send?.({ begun: true } satisfies LoopBegun);
  const meter = new LoopMeter();
  const done = await load();
  return { ...meter.end(), done };
}

const [load = "", side = "", directory = ".", file = ""] = process.argv.slice(2);
const isBare = side === "bare";
const run = async (): Promise<LoopReport> => {
  if (load === "streams") return await streams(isBare ? bareStreams : servedStreams(directory));
  if (isBare) return await busy(bareSdk);
  if (load === "busy") return await busy(castellanOnSqlite(directory));
  // The older half of the file's events is due for deletion, which begins as the file is opened.
  return await busy(castellan("Castellan", () => ({ sqlite: join(directory, file) })));
};
process.send?.(await run());
process.disconnect();
