import { bareSdk } from "./bare-sdk.ts";
import { castellanOnSqlite } from "./castellan.ts";
import { realClaude } from "./ground.ts";
import { type Line, rowOf } from "./line.ts";
import { compete, timed } from "./rounds.ts";

/** How many turns are asked in a round, one after the other. */
const TURNS = 5;

/** A turn of a real process that is up, from asking to the reply. */
export const warmTurn: Line = {
  name: "warm-turn",
  rounds: 25,
  measure: async ({ rounds, directory }) => {
    const ground = await realClaude();
    const bare = await bareSdk.open(ground, 1);
    const ours = await castellanOnSqlite(directory).open(ground, 1);
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
    await ground.close();
    return [rowOf("warm turn", ground.name, "ms", scores, { atMost: 1.03 })];
  },
};
