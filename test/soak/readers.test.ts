import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const HOST = new URL("./reading-host.ts", import.meta.url).pathname;

/** `READER_TURNS=20000` runs more turns. */
const TURNS = Number(process.env["READER_TURNS"] ?? 6_000);

/** The factor by which the heap may grow after ten times as many turns. Turns in flight vary. */
const MOST_GROWTH = 1.25;

it(`readers of ${TURNS} turns that come and go: leave no memory behind, and no handle after the stop`, {
  timeout: 1_200_000,
}, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [HOST, String(TURNS)]);
  console.log(stdout.trim());
  const { ratio, failures, before, after, unhandled } = JSON.parse(stdout);
  expect({ failures, unhandled }).toEqual({ failures: {}, unhandled: [] });
  expect(after).toEqual(before);
  expect(ratio).toBeLessThan(MOST_GROWTH);
});
