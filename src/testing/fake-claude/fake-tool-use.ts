import { randomUUID } from "node:crypto";
import type { PermissionResult, SDKPermissionDenial } from "@anthropic-ai/claude-agent-sdk";
import type { FakeAnswer } from "./fake-answer.ts";
import { type FakeHost, hookDecision, hookDenial } from "./fake-host.ts";
import { type FakeToolResult, INTERRUPTED_TOOL, toolResultMessage } from "./fake-messages.ts";
import type { FakeSettings } from "./fake-settings.ts";
import type { WireObject } from "./fake-wire.ts";
import type { TurnContext } from "./turn-context.ts";

/** The outcome of the permission check: the refusal, or who permitted the tool if not rules or the mode. */
interface Permission {
  readonly refusal?: FakeToolResult;
  readonly by?: FakeToolResult["permittedBy"];
}

/** A tool use before it runs. */
export interface FakeToolCall {
  readonly id: string;
  readonly name: string;
  readonly input: WireObject;
}

/** Runs the tool uses of a turn, one after the other: hooks, permission, tool, result. */
export class FakeToolUses {
  /** The denied tool uses of this turn. */
  readonly denials: SDKPermissionDenial[] = [];
  /** The number of completed tool uses. */
  count = 0;
  readonly #claude: TurnContext;
  readonly #host: FakeHost;
  readonly #answer: FakeAnswer;
  /** Interrupts the turn, for a `canUseTool` that denies with `interrupt`. Throws the error that the script sees. */
  readonly #interrupt: () => never;
  readonly #signal: AbortSignal;
  #current: { readonly id: string; readonly running: boolean } | undefined;

  constructor(claude: TurnContext, host: FakeHost, answer: FakeAnswer, signal: AbortSignal, interrupt: () => never) {
    this.#signal = signal;
    this.#claude = claude;
    this.#host = host;
    this.#answer = answer;
    this.#interrupt = interrupt;
  }

  /** Whether a tool runs or waits for permission. */
  get busy(): boolean {
    return this.#current !== undefined;
  }

  /** `ask`: whether the tool needs permission by mode, rules, hooks or host. */
  async use(call: FakeToolCall, ask: boolean, run: () => Promise<FakeToolResult>): Promise<void> {
    this.#answer.toolUse(call.id, call.name, call.input);
    this.#answer.closeMessage("tool_use");
    this.#current = { id: call.id, running: false };
    const permission = await this.#permission(call, ask);
    this.#current = { id: call.id, running: true };
    const result = permission.refusal ?? { ...(await run()), permittedBy: permission.by };
    if (permission.refusal === undefined) {
      const event = result.isError === true ? "PostToolUseFailure" : "PostToolUse";
      await this.#host.hook(event, { ...facts(call), tool_response: result.content, duration_ms: 0 });
    }
    this.#current = undefined;
    this.count += 1;
    this.#claude.send(toolResultMessage(call.id, result));
  }

  /** Calls the session's `canUseTool`. */
  async ask(call: FakeToolCall, signal?: AbortSignal): Promise<PermissionResult> {
    const decision = await this.#host.permission(call.name, call.input, call.id, signal);
    this.#take(call, decision);
    if (decision.behavior === "deny" && decision.interrupt === true) this.#interrupt();
    return decision;
  }

  /** Sends the result of a tool that an interrupt stopped. */
  interrupted(): void {
    if (this.#current === undefined) return;
    const content = this.#current.running ? INTERRUPTED_TOOL.running : INTERRUPTED_TOOL.waiting;
    this.#claude.send(toolResultMessage(this.#current.id, { content, isError: true, refused: "user-rejected" }));
  }

  /** Checks the permission to run a tool. */
  async #permission(call: FakeToolCall, ask: boolean): Promise<Permission> {
    const denial = hookDenial(call.name, await this.#host.hook("PreToolUse", facts(call)));
    if (denial !== undefined) {
      this.#denied(call);
      return { refusal: { content: denial, isError: true, refused: "permission-rule" } };
    }
    if (!ask) return {};
    const verdict = this.#claude.settings.permissions.verdict(call.name, call.input);
    if (verdict === "allowed") return {};
    if (verdict === "ask") return await this.#asked(call);
    const why =
      verdict === "denied" ? "has been denied." : "has been denied because Claude Code is running in don't ask mode.";
    const refused = this.#refusedAtOnce(call, `Permission to use ${call.name} ${why}`, "permission-rule", {
      decision_reason_type: verdict === "denied" ? "rule" : "mode",
    });
    return { refusal: refused };
  }

  /** Calls hooks and host in parallel; the first decision counts. */
  async #asked(call: FakeToolCall): Promise<Permission> {
    const withdrawn = new AbortController();
    const { permissions } = this.#claude.settings;
    const { tool_use_id: _, ...known } = facts(call);
    const told = { ...known, permission_suggestions: permissions.suggestions(call.name, call.input) };
    const byHooks = this.#host.hook("PermissionRequest", told, call.id).then(hookDecision);
    const { asksHost } = this.#claude.settings;
    const byHost = asksHost ? this.ask(call, AbortSignal.any([withdrawn.signal, this.#signal])) : undefined;
    byHost?.catch(() => {});
    const first = byHooks.then((decision) =>
      decision === undefined ? byHost?.then(byUser) : { decision, by: "hook" },
    );
    const decided = await (byHost === undefined ? first : Promise.race([byHost.then(byUser), first]));
    withdrawn.abort(new Error("a hook has decided"));
    if (decided === undefined) {
      const message = `Claude requested permissions to use ${call.name}, but you haven't granted it yet.`;
      return { refusal: this.#refusedAtOnce(call, message, "user-rejected") };
    }
    const { decision, by } = decided;
    if (by === "hook") this.#take(call, decision);
    if (decision.behavior === "allow") return { by: by === "hook" ? "hook" : "user_temporary" };
    return { refusal: { content: decision.message, isError: true, refused: "permission-rule" } };
  }

  #take(call: FakeToolCall, decision: PermissionResult): void {
    if (decision.behavior === "deny") this.#denied(call);
    else this.#claude.settings.permissions.update(decision.updatedPermissions);
  }

  #refusedAtOnce(
    call: FakeToolCall,
    message: string,
    refused: FakeToolResult["refused"] & string,
    reason: WireObject = {},
  ): FakeToolResult {
    this.#denied(call);
    const { id: tool_use_id, name: tool_name } = call;
    this.#claude.send({ type: "system", subtype: "permission_denied", tool_name, tool_use_id, ...reason, message });
    return { content: message, isError: true, refused };
  }

  #denied({ id, name, input }: FakeToolCall): void {
    this.denials.push({ tool_name: name, tool_use_id: id, tool_input: { ...input } });
  }
}

function byUser(decision: PermissionResult): { readonly decision: PermissionResult; readonly by: string } {
  return { decision, by: "user" };
}

export function toolUseId(): string {
  return `toolu_${randomUUID().replaceAll("-", "").slice(0, 16)}`;
}

/** The input of hooks for a tool use. */
function facts({ id, name, input }: FakeToolCall): WireObject {
  const [prefix, server] = name.split("__");
  const told = { tool_name: name, tool_input: input, tool_use_id: id };
  return prefix === "mcp" ? { ...told, mcp_server: { name: server, source: "sdk" } } : told;
}

/** A tool that enters or leaves plan mode, in the current mode. */
export interface FakePlanTool {
  /** Whether the tool needs permission. */
  readonly ask: boolean;
  run(): FakeToolResult;
}

/** Returns `undefined` for all other tools. */
export function planTool(name: string, { asksHost, permissions }: FakeSettings): FakePlanTool | undefined {
  if (name !== "EnterPlanMode" && name !== "ExitPlanMode") return undefined;
  if (!asksHost) {
    return failing(
      `Error: No such tool available: ${name}. ${name} is disabled for this session, in subagents as well as here.`,
    );
  }
  if (name === "EnterPlanMode") {
    return {
      ask: true,
      run: () => {
        permissions.enter("plan");
        return { content: "Entered plan mode.", isError: undefined };
      },
    };
  }
  if (permissions.mode !== "plan") return failing("You are not in plan mode.");
  return {
    ask: true,
    run: () => {
      permissions.leavePlan();
      return { content: "User has approved exiting plan mode. You can now proceed.", isError: undefined };
    },
  };
}

function failing(problem: string): FakePlanTool {
  return {
    ask: false,
    run: () => ({ content: `<tool_use_error>${problem}</tool_use_error>`, isError: true, unusable: true }),
  };
}
