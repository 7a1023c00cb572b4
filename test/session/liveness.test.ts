import { describe, expect, it } from "vitest";
import { hasStalled } from "../../src/session/liveness.ts";

describe("hasStalled", () => {
  it.each([
    ["silent for too long in a turn", { busy: true, waitsFor: 0, silentMs: 1_000 }, true],
    ["not silent for so long", { busy: true, waitsFor: 0, silentMs: 999 }, false],
    ["idle", { busy: false, waitsFor: 0, silentMs: 1_000_000 }, false],
    ["waiting for a tool or for somebody's approval", { busy: true, waitsFor: 1, silentMs: 1_000_000 }, false],
  ])("%s", (_, work, stalled) => {
    expect(hasStalled(work, 1_000)).toBe(stalled);
  });
});
