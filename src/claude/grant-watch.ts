import type {
  CanUseTool,
  HookCallback,
  HookCallbackMatcher,
  PermissionUpdate,
  SDKMessage,
  Options as SdkOptions,
} from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";

/** The part of a tool result message that tells what permitted the tool. The SDK's types omit it. */
const permittedSchema = z.object({
  tool_result_meta: z.array(
    z.object({
      id: z.string(),
      permission_decision: z.object({ decision: z.string(), source: z.string() }).optional(),
    }),
  ),
});

/** Reports permissions that the application's answers grant beyond a single tool use. */
export class GrantWatch {
  readonly #granted: (updates: readonly PermissionUpdate[]) => Promise<void>;
  /**
   * What hooks would grant, by tool use. Hooks and the permission callback run at the same time and the first answer
   * counts; the tool's result tells which one that was.
   */
  readonly #byHooks = new Map<string, readonly PermissionUpdate[]>();

  /** Claude Code receives an answer only after `granted` has resolved. */
  constructor(granted: (updates: readonly PermissionUpdate[]) => Promise<void>) {
    this.#granted = granted;
  }

  /** Returns the options with watched callbacks. */
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

  /** Takes a message of the process. */
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
      // Claude Code ignores the answer to a withdrawn request.
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
