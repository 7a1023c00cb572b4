import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ExitRecord } from "../../src/errors.ts";
import { nextSessionState, type SessionState, type SessionStateEvent } from "../../src/session/status/session-state.ts";

type StateName = SessionState["name"];

const exit: ExitRecord = { class: "crash", message: "it crashed", at: 1 };
const again: ExitRecord = { class: "auth", message: "no key", at: 2 };

const STATES: Record<StateName, SessionState> = {
  starting: { name: "starting" },
  restarting: { name: "restarting", retryAt: 5 },
  idle: { name: "idle" },
  busy: { name: "busy" },
  waiting: { name: "waiting", hold: { for: "overload", until: 3 } },
  hibernated: { name: "hibernated" },
  quarantined: { name: "quarantined", lastExits: [exit] },
  stopped: { name: "stopped", as: "session" },
};

const EVENTS: Record<SessionStateEvent["type"], SessionStateEvent> = {
  begin: { type: "begin" },
  ready: { type: "ready" },
  turn_started: { type: "turn_started" },
  turn_ended: { type: "turn_ended" },
  hold: { type: "hold", hold: { for: "quota", until: 7 } },
  release: { type: "release" },
  hibernate: { type: "hibernate" },
  exited: { type: "exited" },
  retry: { type: "retry", at: 9 },
  quarantine: { type: "quarantine", lastExits: [again] },
  stop: { type: "stop", as: "supervisor" },
};

const QUARANTINED: SessionState = { name: "quarantined", lastExits: [again] };
const STOPPED: SessionState = { name: "stopped", as: "supervisor" };
const RESTARTING: SessionState = { name: "restarting" };
const STARTING: SessionState = { name: "starting" };
const HIBERNATED: SessionState = { name: "hibernated" };
const WAITING: SessionState = { name: "waiting", hold: { for: "quota", until: 7 } };

/** Transitions by state; an event without an entry changes nothing. */
const CHANGES: Record<StateName, Partial<Record<SessionStateEvent["type"], SessionState>>> = {
  starting: {
    ready: { name: "idle" },
    hibernate: HIBERNATED,
    exited: RESTARTING,
    quarantine: QUARANTINED,
    stop: STOPPED,
  },
  restarting: {
    begin: RESTARTING,
    ready: { name: "idle" },
    hibernate: HIBERNATED,
    exited: RESTARTING,
    retry: { name: "restarting", retryAt: 9 },
    quarantine: QUARANTINED,
    stop: STOPPED,
  },
  idle: {
    begin: STARTING,
    turn_started: { name: "busy" },
    hold: WAITING,
    hibernate: HIBERNATED,
    exited: RESTARTING,
    quarantine: QUARANTINED,
    stop: STOPPED,
  },
  waiting: {
    begin: STARTING,
    hold: WAITING,
    release: { name: "idle" },
    exited: RESTARTING,
    quarantine: QUARANTINED,
    stop: STOPPED,
  },
  busy: { begin: STARTING, turn_ended: { name: "idle" }, exited: RESTARTING, quarantine: QUARANTINED, stop: STOPPED },
  hibernated: { begin: STARTING, exited: RESTARTING, quarantine: QUARANTINED, stop: STOPPED },
  quarantined: { begin: STARTING, quarantine: QUARANTINED, stop: STOPPED },
  stopped: {},
};

const table = Object.values(STATES).flatMap((state) =>
  Object.values(EVENTS).map((event) => ({ state, event, from: state.name, type: event.type })),
);

describe("nextSessionState", () => {
  it.each(table)("moves from $from on $type", ({ state, event, from, type }) => {
    expect(nextSessionState(state, event)).toEqual(CHANGES[from][type] ?? state);
  });

  const anyEvent = fc.constantFrom(...Object.values(EVENTS));

  it("never leaves `stopped`", () => {
    fc.assert(
      fc.property(fc.array(anyEvent), fc.array(anyEvent), (before, after) => {
        const stopped = [...before, EVENTS.stop].reduce(nextSessionState, STATES.starting);
        expect(stopped.name).toBe("stopped");
        expect(after.reduce(nextSessionState, stopped)).toEqual(stopped);
      }),
    );
  });

  it("reaches `busy` from `idle` only", () => {
    fc.assert(
      fc.property(fc.array(anyEvent), (events) => {
        let state: SessionState = STATES.starting;
        for (const event of events) {
          const next = nextSessionState(state, event);
          if (next.name === "busy" && state.name !== "busy") expect(state.name).toBe("idle");
          state = next;
        }
      }),
    );
  });

  it("leaves `quarantined` only on `begin` and `stop`", () => {
    fc.assert(
      fc.property(fc.array(anyEvent), (events) => {
        const kept = events.filter(({ type }) => type !== "begin" && type !== "stop");
        expect(kept.reduce(nextSessionState, STATES.quarantined).name).toBe("quarantined");
      }),
    );
  });
});
