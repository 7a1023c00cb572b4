import { expect, test } from "vitest";
import { joinUnderName } from "../../src/cluster/node-name.ts";
import type { NameHolder } from "../../src/cluster/protocol/engine.ts";
import { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import { node } from "./engine-conformance.ts";

const BEAT_MS = 1_000;

/** Joins a node while these holders have its name, one for each attempt. */
function joining(holders: readonly (NameHolder | undefined)[], isLeaving = () => false) {
  const clock = new SimulatedClock();
  const asked: number[] = [];
  const join = async (): Promise<NameHolder | undefined> => {
    asked.push(clock.monotonic());
    return holders[asked.length - 1];
  };
  const joined = joinUnderName(node("b", { name: "one" }), { engine: { join }, clock, beatMs: BEAT_MS, isLeaving });
  joined.catch(() => {});
  return { clock, asked, joined };
}

function holder(changed: Partial<NameHolder> = {}): NameHolder {
  return { boot: "a", address: "http://a:7700", renewedAt: 5_000, aliveForMs: 3_000, ...changed };
}

test("a node joins at once under a free name, with the lease from its request on", async () => {
  const { clock, asked, joined } = joining([undefined]);
  await clock.advance(0);
  expect(await joined).toEqual({ monotonic: 0, wall: 0 });
  expect(asked).toEqual([0]);
});

test("a node waits for a holder that does not renew, until the moment when it counts as dead", async () => {
  const { clock, asked, joined } = joining([holder({ aliveForMs: 1_400 }), holder({ aliveForMs: 400 }), undefined]);
  await clock.advance(1_400);
  expect(await joined).toEqual({ monotonic: 1_400, wall: 1_400 });
  expect(asked).toEqual([0, 1_000, 1_400]);
});

test.each([
  ["renews", holder({ renewedAt: 5_900, aliveForMs: 4_900 })],
  ["is followed by another", holder({ boot: "c" })],
])("a node is refused with NODE_NAME_TAKEN within a beat if the holder %s", async (_, second) => {
  const { clock, asked, joined } = joining([holder(), second]);
  await clock.advance(BEAT_MS);
  await expect(joined).rejects.toMatchObject({
    code: "NODE_NAME_TAKEN",
    details: { node: "one", address: "http://a:7700" },
  });
  expect(asked).toEqual([0, BEAT_MS]);
});

test("a node that is leaving does not wait for its name", async () => {
  const { clock, joined } = joining([holder()], () => true);
  await clock.advance(0);
  await expect(joined).rejects.toMatchObject({ code: "NODE_NAME_TAKEN" });
});
