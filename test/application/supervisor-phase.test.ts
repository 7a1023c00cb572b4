import { expect, test } from "vitest";
import { SupervisorPhase } from "../../src/application/tree/supervisor-phase.ts";

function refusals(phase: SupervisorPhase): readonly (string | undefined)[] {
  const messageOf = (refuse: () => void): string | undefined => {
    try {
      refuse();
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
  return [messageOf(() => phase.refuseIfStopped()), messageOf(() => phase.refuseIfEnding())];
}

test("SupervisorPhase: rejects calls by phase, with the reason", () => {
  const phase = new SupervisorPhase("shop");
  expect([phase.now, ...refusals(phase)]).toEqual(["running", undefined, undefined]);
  phase.drain();
  const draining = "shop is draining; its children can no longer change.";
  expect([phase.now, ...refusals(phase)]).toEqual(["draining", undefined, draining]);
  phase.stop();
  const stopped = "shop has been stopped; start another supervisor.";
  expect([phase.now, ...refusals(phase)]).toEqual(["stopping", stopped, stopped]);
  phase.finish({ reason: "stopped" });
  expect([phase.now, phase.end, ...refusals(phase)]).toEqual(["ended", { reason: "stopped" }, stopped, stopped]);
});

test("SupervisorPhase: never moves backwards", () => {
  const phase = new SupervisorPhase("shop");
  phase.stop();
  phase.drain();
  expect(phase.now).toBe("stopping");
  phase.finish({ reason: "stopped" });
  phase.stop();
  phase.drain();
  expect([phase.now, phase.isStopping]).toEqual(["ended", true]);
});
