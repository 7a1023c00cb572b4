import { describe, expect, test } from "vitest";
import {
  nextOwnerStep,
  type OwnerAction,
  type OwnerEvent,
  type OwnerState,
} from "../../../src/journal/handover/owner-state.ts";

const STATES = {
  owning: { name: "owning" },
  yielding: { name: "yielding", taker: "t" },
  released: { name: "released", taker: "t" },
  lending: { name: "lending", taker: "t" },
  reclaiming: { name: "reclaiming" },
  lost: { name: "lost" },
  closed: { name: "closed" },
} satisfies Record<string, OwnerState>;

const EVENTS = {
  asked: { type: "asked", taker: "t" },
  released: { type: "released" },
  unwritable: { type: "unwritable" },
  taken: { type: "taken", taker: "t" },
  "taken by another": { type: "taken", taker: "u" },
  "opened by another": { type: "opened", taker: "u" },
  gone: { type: "gone", taker: "t" },
  "another gone": { type: "gone", taker: "u" },
  overdue: { type: "overdue" },
  reopened: { type: "reopened" },
  refused: { type: "refused" },
  close: { type: "close" },
} satisfies Record<string, OwnerEvent>;

/** What changes something: state, event, next state, actions. Whatever is not here changes nothing. */
const STEPS: readonly [keyof typeof STATES, keyof typeof EVENTS, OwnerState["name"], readonly OwnerAction[]][] = [
  ["owning", "asked", "yielding", ["yield"]],
  ["yielding", "asked", "yielding", ["decline"]],
  ["yielding", "released", "released", ["offer"]],
  ["yielding", "unwritable", "owning", ["decline", "resume"]],
  ["released", "asked", "released", ["decline"]],
  ["released", "taken", "lending", ["lend"]],
  ["released", "opened by another", "lending", ["lend"]],
  ["released", "gone", "reclaiming", ["reclaim"]],
  ["released", "overdue", "reclaiming", ["reclaim"]],
  ["lending", "asked", "lending", ["decline"]],
  ["lending", "opened by another", "lending", ["lend"]],
  ["lending", "gone", "reclaiming", ["reclaim"]],
  ["lending", "refused", "lost", ["lose"]],
  ["reclaiming", "asked", "reclaiming", ["decline"]],
  ["reclaiming", "reopened", "owning", ["resume"]],
  ["reclaiming", "taken", "lending", ["lend"]],
  ["reclaiming", "taken by another", "lending", ["lend"]],
  ["reclaiming", "opened by another", "lending", ["lend"]],
  ["reclaiming", "refused", "lost", ["lose"]],
  ["lost", "asked", "lost", ["decline"]],
  ["closed", "asked", "closed", ["decline"]],
];

const CASES = Object.keys(STATES).flatMap((state) =>
  Object.keys(EVENTS).map((event) => [state, event] as [keyof typeof STATES, keyof typeof EVENTS]),
);

describe("nextOwnerStep()", () => {
  test.each(CASES)("%s, %s", (state, event) => {
    const { state: next, actions } = nextOwnerStep(STATES[state], EVENTS[event]);
    const row = STEPS.find(([from, on]) => from === state && on === event);
    const closes = event === "close" && state !== "lost";
    expect([next.name, actions]).toEqual([row?.[2] ?? (closes ? "closed" : state), row?.[3] ?? []]);
  });

  test("has the journal open in no two applications: it offers only what it has closed", () => {
    for (const [state, event, , actions] of STEPS) {
      if (actions.includes("offer")) expect([state, event]).toEqual(["yielding", "released"]);
    }
  });

  test("follows the taker that has the journal, also if it is another one than before", () => {
    expect(nextOwnerStep(STATES.reclaiming, EVENTS["taken by another"]).state).toEqual({ name: "lending", taker: "u" });
  });
});
