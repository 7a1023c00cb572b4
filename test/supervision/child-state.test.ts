import { describe, expect, it } from "vitest";
import {
  type ChildState,
  type ChildStateEvent,
  isActive,
  isAlive,
  nextState,
} from "../../src/supervision/child-state.ts";
import { Actor, Stage } from "./stage.ts";

const child = new Actor("a", new Stage());
const states = {
  due: { name: "due" },
  terminated: { name: "terminated" },
  quarantined: { name: "quarantined" },
  deleted: { name: "deleted" },
  starting: { name: "starting" },
  running: { name: "running", child, since: 7 },
  terminating: { name: "terminating", next: { name: "due" } },
} satisfies Record<string, ChildState>;
const events = {
  start: { type: "start" },
  started: { type: "started", child, at: 7 },
  exited: { type: "exited", next: { name: "quarantined" } },
  terminate: { type: "terminate", next: { name: "terminated" } },
  terminated: { type: "terminated" },
} satisfies Record<string, ChildStateEvent>;

/** Maps each state and event to the next state. A pair that is not listed must throw. */
const table: Record<keyof typeof states, Partial<Record<keyof typeof events, ChildState["name"]>>> = {
  due: { start: "starting", terminate: "terminated" },
  terminated: { terminate: "terminated" },
  quarantined: { terminate: "terminated" },
  deleted: { terminate: "terminated" },
  starting: { started: "running", exited: "quarantined", terminate: "terminating" },
  running: { exited: "quarantined", terminate: "terminating" },
  terminating: { terminate: "terminating", terminated: "due" },
};

describe("nextState", () => {
  for (const [from, state] of Object.entries(states)) {
    for (const [type, event] of Object.entries(events)) {
      const to = table[from as keyof typeof states][type as keyof typeof events];
      it(`maps ${from} and ${type} to ${to ?? "an error"}`, () => {
        if (to === undefined) expect(() => nextState(state, event)).toThrow(from);
        else expect(nextState(state, event).name).toBe(to);
      });
    }
  }
});

describe("isAlive and isActive", () => {
  it.each([
    ["due", false, true],
    ["terminated", false, false],
    ["quarantined", false, false],
    ["deleted", false, false],
    ["starting", true, true],
    ["running", true, true],
    ["terminating", true, true],
  ] as const)("says of a child that is %s: alive %s, active %s", (name, alive, active) => {
    expect([isAlive(states[name]), isActive(states[name])]).toEqual([alive, active]);
  });

  it("says that a child whose termination is final is not active", () => {
    expect(isActive({ name: "terminating", next: { name: "terminated" } })).toBe(false);
  });
});
