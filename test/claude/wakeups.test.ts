import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { beforeEach, describe, expect, test } from "vitest";
import { Wakeups } from "../../src/claude/messages/wakeups.ts";
import { assistantMessage, toolResultMessage } from "../../src/testing/index.ts";

const NOW = 1_000_000;

/** A wall clock, which may be set, and a monotonic one. */
let wall = NOW;
let monotonic = 0;
const clock = { now: () => wall, monotonic: () => monotonic };

beforeEach(() => {
  [wall, monotonic] = [NOW, 0];
});

/** Receives a tool call and its result. */
function called(wakeups: Wakeups, name: string, result: object, isError = false): boolean {
  const id = `toolu_${name}`;
  wakeups.receive(assistantMessage("", [{ id, name }]));
  const answer = toolResultMessage(id, "done", { isError });
  return wakeups.receive({ ...answer, tool_use_result: result });
}

const fired = { type: "command_lifecycle", command_uuid: "u", state: "started", wakeup_source: "schedule_wakeup" };

describe("Wakeups", () => {
  test("are armed by the results of the scheduling tools only", () => {
    const wakeups = new Wakeups(clock);
    expect(called(wakeups, "Bash", { id: "a" })).toBe(false);
    expect(called(wakeups, "CronCreate", { id: "b" }, true)).toBe(false);
    expect(called(wakeups, "ScheduleWakeup", { scheduledFor: NOW + 5, clampedDelaySeconds: 60 })).toBe(true);
    expect(called(wakeups, "CronCreate", { id: "c", recurring: true, nextFireAt: NOW + 7 })).toBe(true);
    expect(wakeups.armed).toEqual([
      { id: "wakeup", at: NOW + 5, recurring: false },
      { id: "c", at: NOW + 7, recurring: true },
    ]);
  });

  test("are disarmed by CronDelete and a stopped ScheduleWakeup", () => {
    const wakeups = new Wakeups(clock);
    called(wakeups, "ScheduleWakeup", { scheduledFor: NOW + 5 });
    called(wakeups, "CronCreate", { id: "c", recurring: true });
    expect(called(wakeups, "CronDelete", { id: "c", endedLoopWakeup: true })).toBe(true);
    expect(wakeups.armed).toEqual([]);
    called(wakeups, "ScheduleWakeup", { scheduledFor: NOW + 5 });
    expect(called(wakeups, "ScheduleWakeup", { stopped: true, scheduledFor: 0 })).toBe(true);
    expect(wakeups.armed).toEqual([]);
  });

  test("end once they have fired or are a minute late; recurring ones stay", () => {
    const wakeups = new Wakeups(clock);
    called(wakeups, "ScheduleWakeup", { scheduledFor: NOW });
    called(wakeups, "CronCreate", { id: "late", recurring: false, nextFireAt: NOW + 1 });
    called(wakeups, "CronCreate", { id: "again", recurring: true, nextFireAt: NOW });
    expect(wakeups.receive(fired as object as SDKMessage)).toBe(true);
    expect(wakeups.armed.map(({ id }) => id)).toEqual(["late", "again"]);
    [wall, monotonic] = [NOW + 60_002, 60_002];
    expect(wakeups.armed.map(({ id }) => id)).toEqual(["again"]);
  });

  test.each([
    ["forward", 3_600_000],
    ["back", -3_600_000],
  ])("do not depend on the wall clock when it is set %s", (_, ms) => {
    const wakeups = new Wakeups(clock);
    called(wakeups, "ScheduleWakeup", { scheduledFor: NOW + 300_000 });
    [wall, monotonic] = [NOW + 240_000 + ms, 240_000];
    expect(wakeups.armed).toHaveLength(1);
    [wall, monotonic] = [NOW + 300_000 + ms, 300_000];
    expect(wakeups.armed).toHaveLength(1);
    expect(wakeups.receive(fired as object as SDKMessage)).toBe(true);
    expect(wakeups.armed).toEqual([]);
  });
});
