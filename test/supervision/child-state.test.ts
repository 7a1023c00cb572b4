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
  forgotten: { name: "forgotten" },
  starting: { name: "starting" },
  up: { name: "up", child, since: 7 },
  leaving: { name: "leaving", next: { name: "due" } },
} satisfies Record<string, ChildState>;
const events = {
  launch: { type: "launch" },
  arrived: { type: "arrived", child, at: 7 },
  ended: { type: "ended", next: { name: "quarantined" } },
  leave: { type: "leave", next: { name: "terminated" } },
  gone: { type: "gone" },
} satisfies Record<string, ChildStateEvent>;

/** Where each event leads from each state; what is not listed must throw. */
const table: Record<keyof typeof states, Partial<Record<keyof typeof events, ChildState["name"]>>> = {
  due: { launch: "starting", leave: "terminated" },
  terminated: { leave: "terminated" },
  quarantined: { leave: "terminated" },
  forgotten: { leave: "terminated" },
  starting: { arrived: "up", ended: "quarantined", leave: "leaving" },
  up: { ended: "quarantined", leave: "leaving" },
  leaving: { leave: "leaving", gone: "due" },
};

describe("nextState", () => {
  for (const [from, state] of Object.entries(states)) {
    for (const [type, event] of Object.entries(events)) {
      const to = table[from as keyof typeof states][type as keyof typeof events];
      it(`${from} and ${type} make ${to ?? "an error"}`, () => {
        if (to === undefined) expect(() => nextState(state, event)).toThrow(from);
        else expect(nextState(state, event).name).toBe(to);
      });
    }
  }
});

describe("what a state says of a child", () => {
  it.each([
    ["due", false, true],
    ["terminated", false, false],
    ["quarantined", false, false],
    ["forgotten", false, false],
    ["starting", true, true],
    ["up", true, true],
    ["leaving", true, true],
  ] as const)("%s: alive %s, active %s", (name, alive, active) => {
    expect([isAlive(states[name]), isActive(states[name])]).toEqual([alive, active]);
  });

  it("a child that is leaving for good is not active", () => {
    expect(isActive({ name: "leaving", next: { name: "terminated" } })).toBe(false);
  });
});
