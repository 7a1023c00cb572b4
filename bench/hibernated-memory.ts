import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { HibernatedMemory } from "./hibernated-host.ts";
import type { Line, Row } from "./line.ts";
import { spreadOf } from "./spread.ts";

/**
 * What a session that sleeps adds to the heap, after garbage collection: the difference over 2,000 of them. Each has had a process and
 * answered a turn. What callers can still read of that turn is kept for two minutes; the budget is for the time after.
 */
export const hibernatedMemory: Line = {
  name: "memory",
  rounds: 3,
  measure: async ({ rounds, directory }) => {
    const figures: HibernatedMemory[] = [];
    for (let round = 0; round < rounds; round++) figures.push(await measure(directory));
    const row = (what: string, figure: (of: HibernatedMemory) => number): Row => {
      const castellan = spreadOf(figures.map((of) => figure(of) / 1_024));
      return { what: `memory of a hibernated session${what}`, on: "fake elsewhere", unit: "kB", castellan };
    };
    return [
      { ...row("", ({ settled }) => settled), budget: { atMost: 4 } },
      row(", turn still readable", ({ fresh }) => fresh),
      row(", never asked", ({ unasked }) => unasked),
    ];
  },
};

/** In a process of its own, whose heap nothing else has been in. */
async function measure(directory: string): Promise<HibernatedMemory> {
  const file = fileURLToPath(new URL("./hibernated-host.ts", import.meta.url));
  const host = fork(file, [directory], { execArgv: ["--expose-gc"] });
  const exit = once(host, "exit").then(([code]) => Promise.reject(new Error(`the measuring process ended: ${code}`)));
  exit.catch(() => {});
  const [memory] = (await Promise.race([once(host, "message"), exit])) as [HibernatedMemory];
  host.disconnect();
  return memory;
}
