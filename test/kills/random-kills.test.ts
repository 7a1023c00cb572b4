import { expect, it } from "vitest";
import { distributionOf } from "../real/kill-distribution.ts";
import { lives } from "../real/kill-moment.ts";
import { faultsIn } from "../real/kill-verdict.ts";
import { killAtRandom } from "../real/random-kills.ts";

const KILLS = 200;
const seed = Number(process.env["KILL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

/** On a machine that is too busy for all of them, as many as there is time for. */
const LIMIT_MS = 13 * 60_000;

it(`an application is killed ${KILLS} times at any moment, and nothing that it acknowledged is lost or done twice (KILL_SEED=${seed})`, {
  timeout: 15 * 60_000,
}, async () => {
  const record = await killAtRandom(lives(seed, KILLS), LIMIT_MS);
  console.log(`KILL_SEED=${seed}`, distributionOf(record));
  expect(faultsIn(record)).toEqual([]);
});
