import type { CanUseTool, HookJSONOutput, Options, PermissionUpdate, SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { expect, it } from "vitest";
import { GrantWatch } from "../../src/claude/grant-watch.ts";

const RULE: PermissionUpdate = {
  type: "addRules",
  rules: [{ toolName: "Read" }],
  behavior: "allow",
  destination: "session",
};

const CONTEXT = { toolUseID: "use", requestId: "request", signal: new AbortController().signal };

interface Watched {
  readonly granted: readonly (readonly PermissionUpdate[])[];
  readonly options: Options;
  see(message: object): void;
}

function watched(options: Options): Watched {
  const granted: (readonly PermissionUpdate[])[] = [];
  const watch = new GrantWatch(async (updates) => void granted.push(updates));
  return { granted, options: watch.watch(options), see: (message) => watch.see(message as SDKMessage) };
}

const answering = (output: HookJSONOutput): Options => ({
  hooks: { PermissionRequest: [{ hooks: [async () => output] }] },
});

const ALLOWING: HookJSONOutput = {
  hookSpecificOutput: {
    hookEventName: "PermissionRequest",
    decision: { behavior: "allow", updatedPermissions: [RULE] },
  },
};

async function callHook({ options }: Watched, toolUseId = "use"): Promise<void> {
  const hook = options.hooks?.PermissionRequest?.[0]?.hooks[0];
  if (hook === undefined) throw new Error("no hook");
  await hook({} as Parameters<typeof hook>[0], toolUseId, { signal: CONTEXT.signal });
}

const permitted = (source: string, id = "use", decision = "accept"): object => ({
  type: "user",
  tool_result_meta: [{ id, permission_decision: { decision, source } }],
});

it("GrantWatch: reports rules of `canUseTool` before its answer, which it does not change", async () => {
  let heard = false;
  const answer = { behavior: "allow", updatedInput: {}, updatedPermissions: [RULE] } as const;
  const canUseTool: CanUseTool = async () => ({ ...answer, updatedPermissions: [RULE] });
  const watch = new GrantWatch(async () => {
    await Promise.resolve();
    heard = true;
  });
  expect(await watch.watch({ canUseTool }).canUseTool?.("Read", {}, CONTEXT)).toEqual(answer);
  expect(heard).toBe(true);
});

it("GrantWatch: reports nothing for an answer without rules", async () => {
  const none: unknown = undefined;
  for (const answer of [
    { behavior: "allow", updatedInput: {} },
    { behavior: "deny", message: "no", updatedPermissions: [RULE] },
    none,
  ]) {
    const one = watched({ canUseTool: (async () => answer) as CanUseTool });
    await one.options.canUseTool?.("Read", {}, CONTEXT);
    expect(one.granted).toEqual([]);
  }
});

it("GrantWatch: reports a hook's rules once the tool's result says that the hook decided", async () => {
  const one = watched(answering(ALLOWING));
  await callHook(one);
  expect(one.granted).toEqual([]);
  one.see({ type: "user", tool_result_meta: [{ id: "another" }] });
  one.see(permitted("hook"));
  expect(one.granted).toEqual([[RULE]]);
  one.see(permitted("hook"));
  expect(one.granted).toHaveLength(1);
});

it("GrantWatch: reports nothing when another source decided, or the tool had no result", async () => {
  const one = watched(answering(ALLOWING));
  await callHook(one);
  one.see(permitted("user_temporary"));
  one.see(permitted("hook"));
  await callHook(one);
  one.see(permitted("hook", "use", "reject"));
  one.see(permitted("hook"));
  await callHook(one, "cut");
  one.see({ type: "result" });
  one.see(permitted("hook", "cut"));
  one.see({ type: "user", tool_result_meta: "of a later release" });
  expect(one.granted).toEqual([]);
});

it("GrantWatch: takes the first of several hooks that allow, as Claude Code does", async () => {
  const second: PermissionUpdate = { ...RULE, behavior: "ask" };
  const other: HookJSONOutput = {
    hookSpecificOutput: {
      hookEventName: "PermissionRequest",
      decision: { behavior: "allow", updatedPermissions: [second] },
    },
  };
  let output: HookJSONOutput = {};
  const one = watched({ hooks: { PermissionRequest: [{ hooks: [async () => output] }] } });
  const outputs: HookJSONOutput[] = [{}, { async: true }, ALLOWING, other];
  for (output of outputs) await callHook(one);
  one.see(permitted("hook"));
  expect(one.granted).toEqual([[RULE]]);
});
