import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EndedTurnState } from "../../src/journal/model/turn-entry.ts";
import { hasEnded, nextTurnState, type TurnEvent, type TurnState } from "../../src/session/streams/turn-state.ts";

const ENDS: EndedTurnState[] = ["completed", "failed", "interrupted", "cancelled", "timed_out"];
const STATES: TurnState[] = ["accepted", "queued", "running", ...ENDS];
const EVENTS: TurnEvent[] = [
  { type: "enqueue" },
  { type: "run" },
  { type: "requeue" },
  ...ENDS.map((as): TurnEvent => ({ type: "end", as })),
];
const RECALLS = ENDS.map((as): TurnEvent => ({ type: "recall", as }));

/** All transitions, as `state event -> state`. */
const POSSIBLE: Record<string, TurnState> = {
  "accepted enqueue": "queued",
  "accepted failed": "failed",
  "accepted cancelled": "cancelled",
  "accepted timed_out": "timed_out",
  "queued run": "running",
  "queued failed": "failed",
  "queued cancelled": "cancelled",
  "queued timed_out": "timed_out",
  "running requeue": "queued",
  "running completed": "completed",
  "running failed": "failed",
  "running interrupted": "interrupted",
  "running timed_out": "timed_out",
};

const label = (event: TurnEvent): string => (event.type === "end" ? event.as : event.type);
const table = STATES.flatMap((state) => EVENTS.map((event) => ({ state, event, name: label(event) })));

describe("nextTurnState", () => {
  it.each(STATES)("recalls an end from %s only if that is `accepted`", (state) => {
    const found = RECALLS.map((event) => nextTurnState(state, event));
    expect(found).toEqual(state === "accepted" ? ENDS : ENDS.map(() => undefined));
  });

  it.each(table)("decides $state on $name", ({ state, event, name }) => {
    expect(nextTurnState(state, event)).toBe(POSSIBLE[`${state} ${name}`]);
  });

  it("ends a turn at most once, for any order of events", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...EVENTS), { maxLength: 40 }), (events) => {
        let state: TurnState = "accepted";
        let ends = 0;
        for (const event of events) {
          const next: TurnState | undefined = nextTurnState(state, event);
          if (hasEnded(state)) expect(next).toBeUndefined();
          if (next !== undefined && hasEnded(next)) ends++;
          state = next ?? state;
        }
        expect(ends).toBe(hasEnded(state) ? 1 : 0);
      }),
    );
  });

  it("completes or interrupts a turn only after it ran", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...EVENTS), { maxLength: 40 }), (events) => {
        let state: TurnState = "accepted";
        let ran = false;
        for (const event of events) {
          state = nextTurnState(state, event) ?? state;
          ran ||= state === "running";
        }
        if (state === "completed" || state === "interrupted") expect(ran).toBe(true);
      }),
    );
  });
});

describe("hasEnded", () => {
  it.each(STATES)("decides on %s", (state) => {
    expect(hasEnded(state)).toBe(!["accepted", "queued", "running"].includes(state));
  });
});
