import { expect, it } from "vitest";
import { randomFrom } from "../../bench/random.ts";
import { distributionOf } from "../real/kill-distribution.ts";
import { lives } from "../real/kill-moment.ts";
import { faultsIn } from "../real/kill-verdict.ts";
import { killAtRandom } from "../real/random-kills.ts";

const seed = Number(process.env["KILL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const minutes = Number(process.env["KILL_MINUTES"] ?? 3);

/** More runs than there is time for. */
const MOST_LIVES_A_MINUTE = 60;

it(`Castellan for ${minutes} minutes of random kills and stops: loses and repeats nothing that it acknowledged (KILL_SEED=${seed})`, {
  timeout: (minutes + 5) * 60_000,
}, async () => {
  const all = lives(seed, Math.ceil(minutes * MOST_LIVES_A_MINUTE));
  const record = await killAtRandom(all, minutes * 60_000, randomFrom(seed));
  console.log(`KILL_SEED=${seed}`, distributionOf(record));
  expect(faultsIn(record)).toEqual([]);
});
