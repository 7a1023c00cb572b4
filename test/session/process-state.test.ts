import { describe, expect, it } from "vitest";
import { nextProcessState, type ProcessEvent, type ProcessState } from "../../src/session/process/process-state.ts";

const STATES: readonly ProcessState[] = [
  "down",
  "hibernated",
  "queued",
  "starting",
  "up",
  "replacing",
  "hibernating",
  "stopping",
];

const asked: ProcessEvent = { type: "gone", asked: true };
const unasked: ProcessEvent = { type: "gone", asked: false };

/** Transitions by event; a state without an entry stays. */
const TABLE: readonly (readonly [string, ProcessEvent, Partial<Record<ProcessState, ProcessState>>])[] = [
  ["begin", { type: "begin" }, Object.fromEntries(STATES.map((state) => [state, "hibernated"]))],
  ["queue", { type: "queue" }, { hibernated: "queued" }],
  ["leave", { type: "leave" }, { queued: "hibernated" }],
  ["start", { type: "start" }, { hibernated: "starting", queued: "starting" }],
  ["up", { type: "up" }, { starting: "up" }],
  ["replace", { type: "replace" }, { up: "replacing", hibernating: "replacing" }],
  ["hibernate", { type: "hibernate" }, { up: "hibernating" }],
  [
    "stop",
    { type: "stop" },
    Object.fromEntries(STATES.map((state) => [state, state === "down" ? "down" : "stopping"])),
  ],
  [
    "gone on request",
    asked,
    { starting: "down", up: "down", replacing: "starting", hibernating: "hibernated", stopping: "down" },
  ],
  [
    "gone unasked",
    unasked,
    { starting: "down", up: "down", replacing: "starting", hibernating: "down", stopping: "down" },
  ],
];

describe("nextProcessState", () => {
  it.each(TABLE)("moves from each state on %s", (_, event, leads) => {
    for (const state of STATES) expect([state, nextProcessState(state, event)]).toEqual([state, leads[state] ?? state]);
  });

  it("starts no process while it is stopping, for any two events", () => {
    const events = TABLE.map(([, event]) => event).filter(({ type }) => type !== "begin");
    for (const first of events) {
      for (const second of events) {
        const after = nextProcessState(nextProcessState("stopping", first), second);
        expect(["stopping", "down"]).toContain(after);
      }
    }
  });
});
