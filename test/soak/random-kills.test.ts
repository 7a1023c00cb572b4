import { expect, it } from "vitest";
import { lives } from "../real/kill-moment.ts";
import { faultsIn } from "../real/kill-verdict.ts";
import { killAtRandom } from "../real/random-kills.ts";

const seed = Number(process.env["KILL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

it(`Castellan in an application that is killed at random: loses and repeats nothing that it acknowledged (KILL_SEED=${seed})`, {
  timeout: 120_000,
}, async () => {
  // As many runs as fit into five seconds.
  const record = await killAtRandom(lives(seed, 4), 5_000);
  expect(faultsIn(record)).toEqual([]);
});
