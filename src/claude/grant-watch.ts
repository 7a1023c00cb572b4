import type {
  CanUseTool,
  HookCallback,
  HookCallbackMatcher,
  PermissionUpdate,
  SDKMessage,
  Options as SdkOptions,
} from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";

/** What a message with the result of a tool says of how the tool was permitted. The SDK's types leave it out. */
const permittedSchema = z.object({
  tool_result_meta: z.array(
    z.object({
      id: z.string(),
      permission_decision: z.object({ decision: z.string(), source: z.string() }).optional(),
    }),
  ),
});

/** Tells which permissions the answers of the application grant for longer than one use of a tool. */
export class GrantWatch {
  readonly #granted: (updates: readonly PermissionUpdate[]) => Promise<void>;
  /**
   * What hooks would grant, by the use of the tool. Whoever decides on a tool is asked at the same time as they are, and the first answer
   * counts; which one that was is told with the tool's result.
   */
  readonly #byHooks = new Map<string, readonly PermissionUpdate[]>();

  /** An answer is given to Claude Code when `granted` has resolved. */
  constructor(granted: (updates: readonly PermissionUpdate[]) => Promise<void>) {
    this.#granted = granted;
  }

  /** The same options, with answers that are watched. */
  watch(options: SdkOptions): SdkOptions {
    const { canUseTool, hooks } = options;
    return {
      ...options,
      ...(canUseTool === undefined ? {} : { canUseTool: this.#watched(canUseTool) }),
      ...(hooks?.PermissionRequest === undefined
        ? {}
        : { hooks: { ...hooks, PermissionRequest: hooks.PermissionRequest.map((matcher) => this.#noted(matcher)) } }),
    };
  }

  /** A message of the process. */
  see(message: SDKMessage): void {
    if (this.#byHooks.size === 0) return;
    if (message.type === "result") this.#byHooks.clear();
    if (message.type !== "user") return;
    const read = permittedSchema.safeParse(message);
    if (!read.success) return;
    for (const { id, permission_decision } of read.data.tool_result_meta) {
      const updates = this.#byHooks.get(id);
      this.#byHooks.delete(id);
      const byHook = permission_decision?.source === "hook" && permission_decision.decision === "accept";
      if (byHook && updates !== undefined) void this.#granted(updates);
    }
  }

  #watched(decide: CanUseTool): CanUseTool {
    return async (tool, input, context) => {
      const result = await decide(tool, input, context);
      // An answer to a question that was withdrawn is not heard.
      if (context.signal.aborted || result?.behavior !== "allow") return result;
      if (result.updatedPermissions !== undefined) await this.#granted(result.updatedPermissions);
      return result;
    };
  }

  #noted(matcher: HookCallbackMatcher): HookCallbackMatcher {
    const noted = (hook: HookCallback): HookCallback => {
      return async (input, toolUseId, context) => {
        const output = await hook(input, toolUseId, context);
        const specific = "hookSpecificOutput" in output ? output.hookSpecificOutput : undefined;
        if (specific?.hookEventName !== "PermissionRequest" || specific.decision.behavior !== "allow") return output;
        const { updatedPermissions } = specific.decision;
        if (toolUseId === undefined || updatedPermissions === undefined) return output;
        if (!this.#byHooks.has(toolUseId)) this.#byHooks.set(toolUseId, updatedPermissions);
        return output;
      };
    };
    return { ...matcher, hooks: matcher.hooks.map(noted) };
  }
}
