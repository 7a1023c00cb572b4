import { expect, it } from "vitest";
import { distributionOf } from "../real/kill-distribution.ts";
import { lives } from "../real/kill-moment.ts";
import { faultsIn } from "../real/kill-verdict.ts";
import { killAtRandom } from "../real/random-kills.ts";

const KILLS = 200;
const seed = Number(process.env["KILL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

/** A machine too busy for all kills does as many as fit into this time. */
const LIMIT_MS = 13 * 60_000;

it(`Castellan in an application that is killed ${KILLS} times: loses and repeats nothing that it acknowledged (KILL_SEED=${seed})`, {
  timeout: 15 * 60_000,
}, async () => {
  const record = await killAtRandom(lives(seed, KILLS), LIMIT_MS);
  console.log(`KILL_SEED=${seed}`, distributionOf(record));
  expect(faultsIn(record)).toEqual([]);
});
