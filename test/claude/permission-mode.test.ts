import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { reportedModeOf } from "../../src/claude/permission-mode.ts";

test("reportedModeOf: reads the mode from init and status messages only", () => {
  const message = (fields: object): SDKMessage => ({ type: "system", ...fields }) as SDKMessage;
  expect(reportedModeOf(message({ subtype: "status", status: null, permissionMode: "plan" }))).toEqual({
    now: "plan",
    changed: true,
  });
  expect(reportedModeOf(message({ subtype: "init", permissionMode: "default" }))).toEqual({
    now: "default",
    changed: false,
  });
  expect(reportedModeOf(message({ subtype: "status", status: "requesting" }))).toBeUndefined();
  expect(
    reportedModeOf(message({ subtype: "status", status: null, permissionMode: "of a later release" })),
  ).toBeUndefined();
  expect(reportedModeOf(message({ subtype: "task_started", permissionMode: "plan" }))).toBeUndefined();
});
