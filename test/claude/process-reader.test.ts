import { randomUUID } from "node:crypto";
import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { ProcessReader } from "../../src/claude/process-reader.ts";
import { boundary, SESSION } from "../session/messages.ts";

const common = { uuid: randomUUID(), session_id: SESSION };
const listed = (...ids: readonly string[]): SDKMessage => ({
  type: "system",
  subtype: "background_tasks_changed",
  tasks: ids.map((id) => ({ task_id: id, run_id: `run of ${id}`, task_type: "local_bash", description: `task ${id}` })),
  ...common,
});
const ended = (id: string, status: "completed" | "failed" | "stopped"): SDKMessage => ({
  type: "system",
  subtype: "task_notification",
  task_id: id,
  status,
  output_file: "",
  summary: `${id} ${status}`,
  ...common,
});
const mode = (permissionMode: "default" | "plan"): SDKMessage => ({
  type: "system",
  subtype: "status",
  status: null,
  permissionMode,
  ...common,
});
const described = (id: string) => ({ id, type: "local_bash", description: `task ${id}`, ambient: false });

test("ProcessReader: reports tasks that begin and end, with what Claude Code reports of their end", () => {
  const reader = new ProcessReader();
  expect(reader.read(listed("a"))).toEqual([{ type: "task_started", task: described("a") }]);
  expect(reader.read(listed("a", "b"))).toEqual([{ type: "task_started", task: described("b") }]);
  expect(reader.read(ended("a", "failed"))).toEqual([]);
  expect(reader.read(listed("b"))).toEqual([
    { type: "task_ended", taskId: "a", status: "failed", summary: "a failed" },
  ]);
  expect(reader.gone()).toEqual([{ type: "task_ended", taskId: "b" }]);
  expect(reader.gone()).toEqual([]);
});

test("ProcessReader: reports a permission mode and a compaction, and a mode only when it changes", () => {
  const reader = new ProcessReader();
  expect(reader.read(mode("default"))).toEqual([{ type: "permission_mode_changed", mode: "default" }]);
  expect(reader.read(mode("default"))).toEqual([]);
  expect(reader.read(mode("plan"))).toEqual([{ type: "permission_mode_changed", mode: "plan" }]);
  expect(reader.read(boundary())).toEqual([{ type: "compacted", trigger: "auto", tokensBefore: 100 }]);
});
