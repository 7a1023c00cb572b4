import { forked } from "./forked.ts";
import type { HibernatedMemory } from "./hibernated-host.ts";
import type { Line, Row } from "./line.ts";
import { spreadOf } from "./spread.ts";

/**
 * What sessions that sleep add to the heap, after garbage collection. Each has had a process and answered a turn. Of ten thousand in a
 * row most have been let go by then, which the budget is for; the other rows are what one costs that is in memory, over 2,000 of
 * them. What callers can still read of its turn is kept for two minutes.
 */
export const hibernatedMemory: Line = {
  name: "memory",
  rounds: 3,
  measure: async ({ rounds, directory }) => {
    const figures: HibernatedMemory[] = [];
    for (let round = 0; round < rounds; round++) {
      // In a process of its own, whose heap nothing else has been in.
      figures.push(await forked<HibernatedMemory>("./hibernated-host.ts", [directory], ["--expose-gc"]));
    }
    const row = (what: string, figure: (of: HibernatedMemory) => number): Row => {
      const castellan = spreadOf(figures.map((of) => figure(of) / 1_024));
      return { what: `memory of a hibernated session${what}`, on: "fake elsewhere", unit: "kB", castellan };
    };
    return [
      { ...row(", of 10,000", ({ ofMany }) => ofMany), budget: { atMost: 4 } },
      row(", in memory", ({ settled }) => settled),
      row(", in memory, turn still readable", ({ fresh }) => fresh),
      row(", in memory, never asked", ({ unasked }) => unasked),
    ];
  },
};
