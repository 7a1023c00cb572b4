import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { Supervisor, stream } from "../../src/index.ts";
import { follow } from "../../src/telemetry/follow.ts";
import { HeldTime } from "./held-time.ts";
import { liveHeap } from "./load-trend.ts";

/*
 * An application whose session is flooded with messages in one turn, with fast, slow and stalled readers. It is a
 * process of its own, since it measures its event loop and its memory.
 */

const [, , flood = "", readers = ""] = process.argv;
const RESOLUTION_MS = 5;
const CLAUDE = fileURLToPath(new URL("./flooding-claude.ts", import.meta.url));

const unhandled: string[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(String(reason)));

const supervisor = await Supervisor.start([{ name: "flooded", includePartialMessages: true }], {
  journal: "memory",
  logger: { info: () => {}, warn: () => {} },
  defaults: { pathToClaudeCodeExecutable: CLAUDE, onInterruptedTurn: "fail" },
});
const session = supervisor.session("flooded");
// The first turns load and compile code, which is not the flood's.
await session.query("Flood 20000 small.");

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
const held = new HeldTime(RESOLUTION_MS);
const restHeap = liveHeap();
let mostRss = 0;
let mostHeap = 0;
const watch = setInterval(() => {
  const { rss, heapUsed } = process.memoryUsage();
  mostRss = Math.max(mostRss, rss);
  mostHeap = Math.max(mostHeap, heapUsed);
}, 20);
delay.enable();
held.start();
const began = performance.now();
const turn = stream("flooded", flood);
const outcomes: Record<string, string> = {};
const note = (who: string, reading: Promise<number>): Promise<void> =>
  reading.then(
    (count) => {
      outcomes[who] = `read ${count}`;
    },
    (error: unknown) => {
      const code = typeof error === "object" && error !== null && "code" in error ? error.code : error;
      outcomes[who] = String(code);
    },
  );

async function drained(
  source: AsyncIterable<unknown>,
  each: (count: number) => Promise<unknown> | undefined,
): Promise<number> {
  let count = 0;
  for await (const _ of source) {
    count += 1;
    const pause = each(count);
    if (pause !== undefined) await pause;
  }
  return count;
}

async function* bodyOf({ body }: Response): AsyncGenerator<unknown> {
  if (body !== null) yield* body;
}

const slowly = (count: number): Promise<unknown> | undefined =>
  count % 64 === 0 ? new Promise((resolve) => setTimeout(resolve, 200)) : undefined;
const never = (): Promise<never> => new Promise<never>(() => {});
const readings: Promise<void>[] = [];
if (readers.includes("fast")) {
  readings.push(
    note(
      "fast text",
      drained(turn.text(), () => undefined),
    ),
  );
  readings.push(
    note(
      "fast events",
      drained(session.events(), () => undefined),
    ),
  );
}
if (readers.includes("slow")) {
  readings.push(note("slow messages", drained(turn, slowly)));
  readings.push(note("slow text", drained(turn.text(), slowly)));
  readings.push(note("slow page", drained(bodyOf(turn.toResponse()), slowly)));
  readings.push(note("slow UI page", drained(bodyOf(turn.toUIMessageStreamResponse()), slowly)));
}
if (readers.includes("gone")) {
  // They read once and never again.
  void note("gone text", drained(turn.text(), never));
  void note("gone events", drained(session.events(), never));
  void note("gone page", drained(bodyOf(turn.toResponse()), never));
}
let lines = 0;
const unfollow = readers.includes("follow")
  ? follow("flooded", { content: true, logger: { info: () => void lines++, warn: () => void lines++ } })
  : () => {};

const ended = await turn.result().then(
  ({ text }) => ({ state: turn.state, length: text.length }),
  (error: Error & { code?: string }) => ({ state: turn.state, code: error.code, message: error.message.slice(0, 300) }),
);
const tookMs = Math.round(performance.now() - began);
delay.disable();
held.stop();
const next = await session.query("say sound");
await supervisor.stop();
await Promise.race([Promise.all(readings), new Promise((resolve) => setTimeout(resolve, 20_000).unref())]);
unfollow();
clearInterval(watch);
const mb = (bytes: number): number => Math.round(bytes / 2 ** 20);
process.stdout.write(
  `${JSON.stringify({
    ...ended,
    tookMs,
    next: next.text,
    restHeap: mb(restHeap),
    mostHeap: mb(mostHeap),
    mostRss: mb(mostRss),
    leftHeap: mb(liveHeap()),
    maxMs: Math.round(delay.max / 1e6),
    p99Ms: Math.round(delay.percentile(99) / 1e6),
    heldMs: Math.round(held.longestMs),
    cpuMs: Math.round(held.longestCpuMs),
    readers: outcomes,
    lines,
    unhandled,
  })}\n`,
);
process.exit();
