import type { SessionUpdate, ToolCallContent, ToolKind } from "@agentclientprotocol/sdk";
import type { EventText, Json, SessionEvent } from "../../client/index.ts";

/** The kinds of Claude Code's tools. All others are `other`. */
const KINDS: Readonly<Record<string, ToolKind>> = {
  Read: "read",
  Edit: "edit",
  Write: "edit",
  NotebookEdit: "edit",
  Bash: "execute",
  Grep: "search",
  Glob: "search",
  WebFetch: "fetch",
  WebSearch: "fetch",
  Task: "think",
  Agent: "think",
};

/** Translates the events of a turn, in their order, to updates of ACP. */
export class AcpUpdates {
  /** What has been sent of the blocks whose end is not known, by id. */
  readonly #sent = new Map<string, string>();
  readonly #read: (text: EventText) => Promise<string>;

  /** @param read returns a text, also one that an event only refers to */
  constructor(read: (text: EventText) => Promise<string>) {
    this.#read = read;
  }

  /** Returns the update for an event; undefined if the event is nothing for an editor. */
  async of(event: SessionEvent): Promise<SessionUpdate | undefined> {
    // The texts of a subagent would mix with the answer; its tools show.
    const isSubagent = event.parent !== undefined;
    switch (event.type) {
      case "text_delta":
      case "thinking_delta":
        if (isSubagent) return undefined;
        this.#sent.set(event.block, (this.#sent.get(event.block) ?? "") + event.text);
        return chunk(event.type === "text_delta" ? "agent_message_chunk" : "agent_thought_chunk", event.text);
      case "text":
      case "thinking": {
        if (isSubagent) return undefined;
        const rest = this.#rest(event.block, await this.#read(event.text));
        const kind = event.type === "text" ? "agent_message_chunk" : "agent_thought_chunk";
        return rest === "" ? undefined : chunk(kind, rest);
      }
      case "tool_use":
        return { sessionUpdate: "tool_call", status: "in_progress", ...acpToolCall(event.id, event.name, event.input) };
      case "tool_result":
        return {
          sessionUpdate: "tool_call_update",
          toolCallId: event.toolUseId,
          status: event.failed ? "failed" : "completed",
          content: outputOf(event.output),
          rawOutput: event.output,
        };
      case "turn_retried":
        // What was sent cannot be taken back.
        this.#sent.clear();
        return chunk("agent_thought_chunk", "\nThe turn runs again. What it has shown so far is void.\n");
      default:
        return undefined;
    }
  }

  /** Returns what is missing of a block. Deltas are lost when a connection breaks. */
  #rest(block: string, whole: string): string {
    const sent = this.#sent.get(block) ?? "";
    this.#sent.delete(block);
    return whole.startsWith(sent) ? whole.slice(sent.length) : `\n${whole}`;
  }
}

/** Returns an update with a piece of a message. */
export function chunk(
  kind: "user_message_chunk" | "agent_message_chunk" | "agent_thought_chunk",
  text: string,
): SessionUpdate {
  return { sessionUpdate: kind, content: { type: "text", text } };
}

/** A call of a tool as ACP has it. */
interface AcpToolCall {
  readonly toolCallId: string;
  readonly title: string;
  readonly kind: ToolKind;
  readonly rawInput: Json;
  locations?: { path: string }[];
}

/** Returns a call of a tool. */
export function acpToolCall(id: string, name: string, input: Json): AcpToolCall {
  const fields: Readonly<Record<string, Json | undefined>> =
    typeof input === "object" && input !== null && !Array.isArray(input) ? (input as Record<string, Json>) : {};
  const path = fields["file_path"];
  const subject = path ?? fields["command"] ?? fields["pattern"] ?? fields["url"] ?? fields["description"];
  return {
    toolCallId: id,
    title: typeof subject === "string" ? `${name}: ${subject}` : name,
    kind: (Object.hasOwn(KINDS, name) ? KINDS[name] : undefined) ?? "other",
    rawInput: input,
    ...(typeof path === "string" && { locations: [{ path }] }),
  };
}

function outputOf(output: Json): ToolCallContent[] {
  const text = typeof output === "string" ? output : textsOf(output);
  return text === "" ? [] : [{ type: "content", content: { type: "text", text } }];
}

function textsOf(output: Json): string {
  if (!Array.isArray(output)) return "";
  const texts = output.flatMap((block: Json) => (isText(block) ? block.text : []));
  return texts.join("\n");
}

function isText(block: Json): block is { readonly text: string } {
  return typeof block === "object" && block !== null && "text" in block && typeof block["text"] === "string";
}

/** Leaves out events that a later `turn_retried` of their turn has made void, and those `turn_retried`. */
export function withoutVoid(events: readonly SessionEvent[]): SessionEvent[] {
  const kept: SessionEvent[] = [];
  for (const event of events) {
    if (event.type !== "turn_retried") {
      kept.push(event);
      continue;
    }
    const isOfTurn = ({ turnId }: SessionEvent): boolean => turnId === event.turnId;
    const started = kept.findLastIndex((one) => one.type === "turn_started" && isOfTurn(one));
    const since = started === -1 ? [] : kept.splice(started);
    kept.push(...since.filter((one) => !isOfTurn(one)));
  }
  return kept;
}
