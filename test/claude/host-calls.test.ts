import type { CanUseTool, HookCallback } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import { HostCalls } from "../../src/claude/process-run.ts";

const CONTEXT = { signal: new AbortController().signal, toolUseID: "tool", requestId: "request" };

describe("HostCalls", () => {
  it("counts a callback while it runs, and returns its result", async () => {
    const calls = new HostCalls();
    const { promise, resolve } = Promise.withResolvers<Awaited<ReturnType<CanUseTool>>>();
    const { canUseTool } = calls.watch({ canUseTool: () => promise });
    const answer = canUseTool?.("Bash", {}, CONTEXT);
    const second = canUseTool?.("Bash", {}, CONTEXT);
    expect(calls.pending).toBe(2);
    resolve({ behavior: "deny", message: "no" });
    expect(await answer).toEqual({ behavior: "deny", message: "no" });
    await second;
    expect(calls.pending).toBe(0);
  });

  it("stops counting a callback that throws or rejects", async () => {
    const calls = new HostCalls();
    const throws: HookCallback = () => {
      throw new Error("at once");
    };
    const rejects: HookCallback = () => Promise.reject(new Error("later"));
    const { hooks } = calls.watch({ hooks: { Stop: [{ matcher: "x", hooks: [throws, rejects] }] } });
    const [matcher] = hooks?.Stop ?? [];
    expect(matcher?.matcher).toBe("x");
    const input = {
      hook_event_name: "Stop",
      stop_hook_active: false,
      session_id: "",
      transcript_path: "",
      cwd: "",
    } as const;
    for (const hook of matcher?.hooks ?? []) await expect(hook(input, undefined, CONTEXT)).rejects.toThrow();
    expect(matcher?.hooks).toHaveLength(2);
    expect(calls.pending).toBe(0);
  });

  it("leaves other options unchanged", () => {
    const options = { model: "m", env: { A: "1" } };
    expect(new HostCalls().watch(options)).toStrictEqual(options);
  });
});
