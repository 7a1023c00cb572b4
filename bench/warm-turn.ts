import { realClaude } from "./backend.ts";
import { bareSdk } from "./bare-sdk.ts";
import { castellanOnSqlite } from "./castellan.ts";
import { type Line, rowOf } from "./line.ts";
import { compete, timed } from "./rounds.ts";

/** The consecutive turns per round. */
const TURNS = 5;

/** Measures a turn of a running real process, from the query to the reply. */
export const warmTurn: Line = {
  name: "warm-turn",
  rounds: 25,
  measure: async ({ rounds, directory }) => {
    const backend = await realClaude();
    const bare = await bareSdk.open(backend, 1);
    const ours = await castellanOnSqlite(directory).open(backend, 1);
    const rivals = [bare, ours].map(({ ask }, side) => ({
      name: side === 0 ? "bare SDK" : "Castellan",
      round: async () => {
        const ms = await timed(async () => {
          for (let turn = 0; turn < TURNS; turn++) await ask(0, `Say something about number ${turn}.`);
        });
        return ms / TURNS;
      },
    }));
    const scores = await compete(rivals, rounds);
    await bare.close();
    await ours.close();
    await backend.close();
    return [rowOf("warm turn", backend.name, "ms", scores, { atMost: 1.03 })];
  },
};
