import { forked } from "./forked.ts";
import type { HibernatedMemory } from "./hibernated-host.ts";
import type { Line, Row } from "./line.ts";
import { spreadOf } from "./spread.ts";

/**
 * Measures the heap per hibernated session, after garbage collection. Each session has had a process and answered a turn. The first row,
 * with the budget, is for ten thousand sessions, most of them evicted. The other rows are for 2,000 sessions that are all in memory. The
 * messages of a turn are readable for two minutes.
 */
export const hibernatedMemory: Line = {
  name: "memory",
  rounds: 3,
  measure: async ({ rounds, directory }) => {
    const figures: HibernatedMemory[] = [];
    for (let round = 0; round < rounds; round++) {
      // A new process has a clean heap.
      figures.push(await forked<HibernatedMemory>("./hibernated-host.ts", [directory], ["--expose-gc"]));
    }
    const row = (what: string, figure: (of: HibernatedMemory) => number): Row => {
      const castellan = spreadOf(figures.map((of) => figure(of) / 1_024));
      return { what: `memory of a hibernated session${what}`, on: "fake elsewhere", unit: "kB", castellan };
    };
    return [
      { ...row(", of 10,000", ({ ofMany }) => ofMany), budget: { atMost: 4 } },
      { ...row(", in memory", ({ settled }) => settled), budget: { atMost: 6 } },
      row(", in memory, turn still readable", ({ fresh }) => fresh),
      row(", in memory, never asked", ({ unasked }) => unasked),
    ];
  },
};
