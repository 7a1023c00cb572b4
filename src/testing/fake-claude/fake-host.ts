import { randomUUID } from "node:crypto";
import type { HookEvent, PermissionResult } from "@anthropic-ai/claude-agent-sdk";
import { stateMessage } from "./fake-messages.ts";
import { isObject, listOf, objectOf, stringOf, type WireObject } from "./fake-wire.ts";
import type { TurnContext } from "./turn-context.ts";

/** The answer of a host's tool. */
export interface HostToolAnswer {
  readonly content: unknown;
  readonly isError: true | undefined;
  /** The complete answer of the tool. */
  readonly returned: WireObject;
}

/** The session under test as a turn reaches it: its hooks, `canUseTool` and in-process MCP servers. */
export class FakeHost {
  readonly #claude: TurnContext;
  readonly #signal: AbortSignal;
  readonly #promptId: string = randomUUID();
  #rpcId = 1;

  constructor(claude: TurnContext, signal: AbortSignal) {
    this.#claude = claude;
    this.#signal = signal;
  }

  /** `toolUseId` is the tool use, unless `input` has it. */
  async hook(event: HookEvent, input: WireObject, toolUseId: string = randomUUID()): Promise<WireObject[]> {
    this.#signal.throwIfAborted();
    const outputs: WireObject[] = [];
    for (const callback_id of hookCallbacks(
      this.#claude.settings.initialize ?? {},
      event,
      stringOf(input, "tool_name"),
    )) {
      const request = {
        subtype: "hook_callback",
        callback_id,
        input: { ...this.#facts(event), hook_event_name: event, ...input },
        tool_use_id: stringOf(input, "tool_use_id") ?? toolUseId,
      };
      outputs.push(
        await this.#claude.ask(request, this.#signal).catch((error) => this.#hookFailed(event, callback_id, error)),
      );
    }
    return outputs;
  }

  /** Rejects if the session has no `canUseTool`, or when `signal` aborts. */
  async permission(
    toolName: string,
    input: WireObject,
    toolUseId: string,
    signal: AbortSignal = this.#signal,
  ): Promise<PermissionResult> {
    if (!this.#claude.settings.asksHost)
      throw new Error(`permission for ${toolName}: this session was started without canUseTool`);
    this.#claude.send(stateMessage("requires_action", this.#claude.settings.reportsState));
    const request = {
      tool_name: toolName,
      display_name: toolName,
      input,
      permission_suggestions: this.#claude.settings.permissions.suggestions(toolName, input),
      tool_use_id: toolUseId,
    };
    const answer = await this.#claude.ask({ subtype: "can_use_tool", ...request }, signal);
    this.#claude.send(stateMessage("running", this.#claude.settings.reportsState));
    if (isPermission(answer)) return answer;
    throw new Error(`permission for ${toolName}: canUseTool returned ${JSON.stringify(answer)}`);
  }

  async tool(server: string, tool: string, args: WireObject, toolUseId: string): Promise<HostToolAnswer> {
    this.#rpcId += 1;
    const params = { name: tool, arguments: args, _meta: { "claudecode/toolUseId": toolUseId } };
    const message = { jsonrpc: "2.0", id: this.#rpcId, method: "tools/call", params };
    const response = await this.#claude.ask({ subtype: "mcp_message", server_name: server, message }, this.#signal);
    const answer = objectOf(response, "mcp_response");
    if (isObject(answer["error"]))
      return { content: stringOf(answer["error"], "message") ?? "error", isError: true, returned: answer };
    const returned = objectOf(answer, "result");
    return { content: listOf(returned, "content"), isError: returned["isError"] === true ? true : undefined, returned };
  }

  /** The input that every hook receives. */
  #facts(event: HookEvent): WireObject {
    const { cwd, permissionMode } = this.#claude.settings;
    return {
      session_id: this.#claude.conversation.id,
      transcript_path: "",
      cwd,
      prompt_id: this.#promptId,
      permission_mode: permissionMode,
      ...(event === "UserPromptSubmit" ? {} : { effort: { level: "medium" } }),
    };
  }

  /** Reports a hook that threw and treats its answer as empty, like the real process. */
  #hookFailed(event: HookEvent, callbackId: string, error: unknown): WireObject {
    if (this.#signal.aborted) throw error;
    this.#claude.writeStderr(`Error in hook callback ${callbackId}: ${String(error)}\n`);
    this.#claude.send({
      type: "system",
      subtype: "informational",
      content: `${event}: Hook callback ${callbackId} failed: the SDK host replied with an error or an invalid answer. Its answer was treated as empty.`,
      level: "warning",
      tag: "hook_callback_failed",
    });
    return {};
  }
}

function isPermission(answer: WireObject): answer is WireObject & PermissionResult {
  return answer["behavior"] === "allow" || (answer["behavior"] === "deny" && typeof answer["message"] === "string");
}

/** The ids of the host's callbacks for a hook event whose matcher fits the tool, in order of registration. */
function hookCallbacks(initialize: WireObject, event: string, toolName: string | undefined): string[] {
  return listOf(objectOf(initialize, "hooks"), event)
    .filter(isObject)
    .filter((entry) => matches(stringOf(entry, "matcher"), toolName))
    .flatMap((entry) => listOf(entry, "hookCallbackIds"))
    .filter((id) => typeof id === "string");
}

function matches(matcher: string | undefined, toolName: string | undefined): boolean {
  if (matcher === undefined || matcher === "" || matcher === "*" || toolName === undefined) return true;
  return new RegExp(`^(?:${matcher})$`).test(toolName);
}

/** The first decision of the `PermissionRequest` hooks. */
export function hookDecision(outputs: readonly WireObject[]): PermissionResult | undefined {
  for (const output of outputs) {
    const decision = objectOf(objectOf(output, "hookSpecificOutput"), "decision");
    if (decision["behavior"] === "deny") {
      return { behavior: "deny", message: stringOf(decision, "message") ?? "Permission denied by hook" };
    }
    if (decision["behavior"] === "allow") return { ...decision, behavior: "allow" };
  }
  return undefined;
}

/** The denial of a tool by hooks, in the real process's words, or `undefined` if none denies it. */
export function hookDenial(toolName: string, outputs: readonly WireObject[]): string | undefined {
  for (const output of outputs) {
    const specific = objectOf(output, "hookSpecificOutput");
    const denied = specific["permissionDecision"] === "deny" || output["decision"] === "block";
    const reason = stringOf(specific, "permissionDecisionReason") ?? stringOf(output, "reason") ?? "Blocked by hook";
    if (denied) return `PreToolUse:${toolName} hook error: ${reason}`;
  }
  return undefined;
}
