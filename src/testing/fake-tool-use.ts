import { randomUUID } from "node:crypto";
import type { PermissionResult, SDKPermissionDenial } from "@anthropic-ai/claude-agent-sdk";
import type { FakeAnswer } from "./fake-answer.ts";
import { hookDenial } from "./fake-hooks.ts";
import type { FakeHost } from "./fake-host.ts";
import { type FakeToolResult, INTERRUPTED_TOOL, toolResultMessage } from "./fake-messages.ts";
import type { WireObject } from "./fake-wire.ts";
import type { SimulatedClaude } from "./simulated-claude.ts";

/** A tool that is about to be used. */
export interface FakeToolCall {
  readonly id: string;
  readonly name: string;
  readonly input: WireObject;
}

/** The tool uses of a turn, one after the other: hooks, permission, the tool, its result. */
export class FakeToolUses {
  /** What was denied in this turn. */
  readonly denials: SDKPermissionDenial[] = [];
  /** How many tools have been used to the end. */
  count = 0;
  readonly #claude: SimulatedClaude;
  readonly #host: FakeHost;
  readonly #answer: FakeAnswer;
  /** Stops the turn, which a `canUseTool` that denies may want, too. Throws what the script is to meet. */
  readonly #interrupt: () => never;
  #current: { readonly id: string; readonly running: boolean } | undefined;

  constructor(claude: SimulatedClaude, host: FakeHost, answer: FakeAnswer, interrupt: () => never) {
    this.#claude = claude;
    this.#host = host;
    this.#answer = answer;
    this.#interrupt = interrupt;
  }

  /** Whether a tool is being used, or waits for leave. */
  get busy(): boolean {
    return this.#current !== undefined;
  }

  async use(call: FakeToolCall, ask: boolean, run: () => Promise<FakeToolResult>): Promise<void> {
    this.#answer.toolUse(call.id, call.name, call.input);
    this.#answer.closeMessage("tool_use");
    this.#current = { id: call.id, running: false };
    const refusal = await this.#refusal(call, ask);
    this.#current = { id: call.id, running: true };
    const result = refusal ?? (await run());
    if (refusal === undefined) {
      const event = result.isError === true ? "PostToolUseFailure" : "PostToolUse";
      await this.#host.hook(event, { ...facts(call), tool_response: result.content, duration_ms: 0 });
    }
    this.#current = undefined;
    this.count += 1;
    this.#claude.send(toolResultMessage(call.id, result));
  }

  /** Asks the session's `canUseTool`. */
  async ask(call: FakeToolCall): Promise<PermissionResult> {
    const decision = await this.#host.permission(call.name, call.input, call.id);
    if (decision.behavior === "deny") {
      this.#denied(call);
      if (decision.interrupt === true) this.#interrupt();
    }
    return decision;
  }

  /** What an interrupt makes of the tool in use. */
  interrupted(): void {
    if (this.#current === undefined) return;
    const content = this.#current.running ? INTERRUPTED_TOOL.running : INTERRUPTED_TOOL.waiting;
    this.#claude.send(toolResultMessage(this.#current.id, { content, isError: true, refused: "user-rejected" }));
  }

  /** Why the tool may not run, as its result; `undefined` if it may. */
  async #refusal(call: FakeToolCall, ask: boolean): Promise<FakeToolResult | undefined> {
    const denial = hookDenial(call.name, await this.#host.hook("PreToolUse", facts(call)));
    if (denial !== undefined) {
      this.#denied(call);
      return { content: denial, isError: true, refused: "permission-rule" };
    }
    if (!ask) return undefined;
    if (this.#claude.settings.asksHost) {
      const decision = await this.ask(call);
      if (decision.behavior === "allow") return undefined;
      return { content: decision.message, isError: true, refused: "permission-rule" };
    }
    const message = `Claude requested permissions to use ${call.name}, but you haven't granted it yet.`;
    this.#denied(call);
    this.#claude.send({
      type: "system",
      subtype: "permission_denied",
      tool_name: call.name,
      tool_use_id: call.id,
      message,
    });
    return { content: message, isError: true, refused: "user-rejected" };
  }

  #denied({ id, name, input }: FakeToolCall): void {
    this.denials.push({ tool_name: name, tool_use_id: id, tool_input: { ...input } });
  }
}

export function toolUseId(): string {
  return `toolu_${randomUUID().replaceAll("-", "").slice(0, 16)}`;
}

/** What hooks are told of a tool use. */
function facts({ id, name, input }: FakeToolCall): WireObject {
  const [prefix, server] = name.split("__");
  const told = { tool_name: name, tool_input: input, tool_use_id: id };
  return prefix === "mcp" ? { ...told, mcp_server: { name: server, source: "sdk" } } : told;
}
