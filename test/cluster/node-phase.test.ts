import fc from "fast-check";
import { expect, test } from "vitest";
import { type NodePhase, type NodePhaseEvent, nextNodePhase } from "../../src/cluster/node-phase.ts";

const EVENTS: readonly NodePhaseEvent[] = ["joined", "lost", "drain", "left"];

test.each<[NodePhase, readonly NodePhase[]]>([
  // after joined, lost, drain, left
  ["joining", ["member", "joining", "draining", "left"]],
  ["member", ["member", "lost", "draining", "left"]],
  ["lost", ["member", "lost", "draining", "left"]],
  ["draining", ["draining", "draining", "draining", "left"]],
  ["left", ["left", "left", "left", "left"]],
])("nextNodePhase: has these successors of %s", (phase, after) => {
  expect(EVENTS.map((event) => nextNodePhase(phase, event))).toEqual(after);
});

test("nextNodePhase: never leaves draining or left for joining, member or lost", () => {
  const events = fc.array(fc.constantFrom(...EVENTS));
  fc.assert(
    fc.property(events, events, (before, after) => {
      let phase = before.reduce<NodePhase>(nextNodePhase, "joining");
      phase = nextNodePhase(phase, "drain");
      for (const event of after) {
        phase = nextNodePhase(phase, event);
        expect(["draining", "left"]).toContain(phase);
      }
    }),
  );
});
