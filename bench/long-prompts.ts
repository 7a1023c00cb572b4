import { forked } from "./forked.ts";
import type { Line, Row } from "./line.ts";
import type { LongPrompt } from "./long-prompt-host.ts";
import { spreadOf } from "./spread.ts";

const CASES = [
  { of: "letters", character: "a", millions: 1 },
  { of: "letters", character: "a", millions: 20 },
  { of: "Chinese characters", character: "\u57ce", millions: 20 },
  { of: "control characters", character: "\u0001", millions: 20 },
  { of: "letters", character: "a", millions: 100 },
] as const;

/** Measures the peak growth of the host's memory for a long prompt. A prompt above 20 million characters is rejected. */
export const longPrompts: Line = {
  name: "prompts",
  rounds: 3,
  measure: async ({ rounds, directory }) => {
    const rows: Row[] = [];
    for (const { of, character, millions } of CASES) {
      const figures: LongPrompt[] = [];
      for (let round = 0; round < rounds; round++) {
        const args = [directory, character, String(millions * 1_000_000)];
        figures.push(await forked<LongPrompt>("./long-prompt-host.ts", args, []));
      }
      const fate = figures.every(({ refused }) => refused) ? ", refused" : "";
      const what = `rise for a prompt of ${millions} million ${of}${fate}`;
      rows.push({ what, on: "fake process", unit: "MB", castellan: spreadOf(figures.map(({ rise }) => rise)) });
    }
    return rows;
  },
};
