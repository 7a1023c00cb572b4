import { expect, test } from "vitest";
import type { NodeEntry } from "../../src/cluster/protocol/engine.ts";
import { rebalance } from "../../src/cluster/rebalance.ts";
import type { OwnedActivity } from "../../src/cluster/session-host.ts";
import { nameKey } from "../../src/names.ts";
import { node } from "./engine-conformance.ts";

const HOSTS = { sessions: [], templates: ["chat"], pools: [] };

function entry(boot: string): NodeEntry {
  return { ...node(boot), hosts: HOSTS, load: 0, draining: false, alive: true, aliveForMs: 5_000 };
}

test("rebalance: begins no move after four minutes, and tells what has moved until then", async () => {
  const busy = Array.from(
    { length: 40 },
    (_, n): OwnedActivity => ({ key: nameKey(["global", "chat", n]), activity: "busy" }),
  );
  let now = 7_000;
  const moves: number[] = [];
  const moved = await rebalance([entry("a"), entry("b")], new Map([["a", busy[0]?.key ?? ""]]), 100, {
    clock: { monotonic: () => now },
    caller: { callAt: async () => busy },
    move: async () => {
      moves.push(now);
      // Each turn takes all the time that it has.
      now += 30_000;
      return true;
    },
  });
  expect(moves).toEqual([7, 37, 67, 97, 127, 157, 187, 217].map((seconds) => seconds * 1_000));
  expect(moved).toHaveLength(8);
  expect(moved[0]).toMatchObject({ from: "node of a", to: "node of b", activity: "busy" });
});
