import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { DeltaReader } from "../../src/claude/messages/deltas.ts";
import { Progress } from "../../src/claude/messages/progress.ts";
import {
  assistantMessage,
  errorResultMessage,
  needsRealKey,
  resultMessage,
  textDeltaMessage,
  toolResultMessage,
} from "../../src/testing/index.ts";

test("message builders: build messages that are read like those of Claude Code", () => {
  const [read] = [assistantMessage("I look.", [{ name: "Read", input: { file_path: "a" }, id: "toolu_1" }])];
  const said: SDKMessage[] = [
    read,
    toolResultMessage("toolu_1", "text"),
    assistantMessage("Done."),
    resultMessage("Done."),
  ];
  const progress = new Progress();
  for (const message of said) progress.add(message);
  expect(progress.text).toBe("I look.Done.");
  expect(progress.toolUses).toEqual([{ id: "toolu_1", name: "Read", input: { file_path: "a" } }]);
  expect(progress.openTools).toBe(0);
  expect(new DeltaReader().read(textDeltaMessage("pie"))).toEqual([{ type: "text", text: "pie" }]);
  expect(errorResultMessage("error_max_turns", ["too many"])).toMatchObject({ is_error: true, errors: ["too many"] });
  expect(resultMessage("x", { structured: { a: 1 }, costUsd: 2 })).toMatchObject({
    structured_output: { a: 1 },
    total_cost_usd: 2,
  });
});

test("needsRealKey: skips the test with the reason when there is no key", () => {
  const key = process.env["ANTHROPIC_API_KEY"];
  const reasons: unknown[] = [];
  const context = { skip: (reason?: string) => void reasons.push(reason) };
  delete process.env["ANTHROPIC_API_KEY"];
  expect(needsRealKey(context)).toBe(false);
  process.env["ANTHROPIC_API_KEY"] = "sk";
  expect(needsRealKey(context)).toBe(true);
  if (key === undefined) delete process.env["ANTHROPIC_API_KEY"];
  else process.env["ANTHROPIC_API_KEY"] = key;
  expect(reasons).toEqual([expect.stringContaining("ANTHROPIC_API_KEY is not set")]);
});
