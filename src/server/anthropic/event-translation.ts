import { withoutUndefined } from "../../fields.ts";
import type { Json, JsonObject } from "../../journal/model/session-entry.ts";
import type { RecordedEvent } from "../../session/record/session-event-types.ts";
import { customToolName, resultIn } from "./client-tools.ts";
import { promptContent, resultContent, textContent } from "./content-blocks.ts";
import type { EventState } from "./event-state.ts";
import { toolUseOf } from "./event-state.ts";
import type { EventIds } from "./ids.ts";
import { readNote } from "./notes.ts";
import { failureOf, wireError } from "./session-error.ts";
import type { StopReason, WireEvent } from "./wire-event.ts";

/** A recorded event, and what its translation depends on. */
export interface Translated<Event extends RecordedEvent = RecordedEvent> {
  readonly event: Event;
  /** Before the event. */
  readonly state: EventState;
  readonly ids: EventIds;
  /** Whether the event is an unread message of a client. */
  readonly isQueued: boolean;
  /** Whether the permission of this tool call was asked for. */
  readonly isAsked: boolean;
}

type Of<Type extends RecordedEvent["type"]> = Translated<Extract<RecordedEvent, { readonly type: Type }>>;

/** Returns what clients see of an event on the stream of the session, or on that of a subagent's thread. */
export function translate(translated: Translated): WireEvent[] {
  const { event, ids } = translated;
  const common = { processed_at: timeOf(event.at) };
  switch (event.type) {
    case "turn_accepted":
      return messageEvent({ ...translated, event });
    case "steered":
      return [{ id: ids.steer(event.id), type: "user.message", content: textContent(event.text), ...common }];
    case "turn_started":
      return [
        { id: ids.numbered(event.number, "r"), type: "session.status_running", ...common },
        { id: ids.numbered(event.number, "m"), type: "span.model_request_start", ...common },
      ];
    case "turn_retried":
      return retryEvents({ ...translated, event });
    case "turn_ended":
      return endEvents({ ...translated, event });
    case "text":
      return [{ id: ids.block(event.block), type: "agent.message", content: textContent(event.text), ...common }];
    case "thinking":
      return [{ id: ids.block(event.block), type: "agent.thinking", ...common }];
    case "tool_use":
      return [toolUseEvent({ ...translated, event })];
    case "tool_result":
      return [toolResultEvent({ ...translated, event })].flat();
    case "approval_requested":
      return [idle(translated, "i", { type: "requires_action", event_ids: waitingFor(translated, toolUseOf(event)) })];
    case "approval_settled":
      return answerEvents({ ...translated, event });
    case "compacted":
      return [{ id: ids.numbered(event.number, "c"), type: "agent.thread_context_compacted", ...common }];
    case "quarantined": {
      const error = wireError("unknown_error", "exhausted", "SESSION_QUARANTINED");
      return [{ id: ids.numbered(event.number, "e"), type: "session.error", error, ...common }];
    }
    case "fault":
      return faultEvents({ ...translated, event });
    case "noted":
      return noteEvents({ ...translated, event });
    default:
      return [];
  }
}

/** The time of an event. */
export function timeOf(at: number): string {
  return new Date(at).toISOString();
}

function messageEvent({ event, ids, isQueued }: Of<"turn_accepted">): WireEvent[] {
  if (event.origin !== "caller") return [];
  const processed_at = isQueued ? null : timeOf(event.at);
  return [{ id: ids.message(event.turnId), type: "user.message", content: promptContent(event), processed_at }];
}

function retryEvents({ event, ids, state }: Of<"turn_retried">): WireEvent[] {
  const { number, at, reason } = event;
  const common = { processed_at: timeOf(at) };
  const type = RETRIES[reason];
  return [
    ...spanEnd({ state, ids, number, at, turnId: event.turnId, isError: true }),
    ...(type === undefined
      ? []
      : ([
          { id: ids.numbered(number, "e"), type: "session.error", error: wireError(type, "retrying"), ...common },
        ] as const)),
    { id: ids.numbered(number, "s"), type: "session.status_rescheduled", ...common },
  ];
}

const RETRIES = {
  process_ended: undefined,
  restarted: undefined,
  not_sent: undefined,
  unpaid: "billing_error",
  quota: "model_rate_limited_error",
  overload: "model_overloaded_error",
} as const;

function endEvents(translated: Of<"turn_ended">): WireEvent[] {
  const { event, ids, state } = translated;
  const { number, at, turnId, usage } = event;
  const { error, stop } = failureOf(event);
  const isOther = state.running !== undefined && state.running.turnId !== turnId;
  return [
    ...spanEnd({ state, ids, number, at, turnId, isError: event.error !== undefined, usage }),
    ...(error === undefined
      ? []
      : ([{ id: ids.numbered(number, "e"), type: "session.error", error, processed_at: timeOf(at) }] as const)),
    // A turn that ended while it waited does not make the session idle.
    ...(isOther ? [] : [idle(translated, "i", stop)]),
  ];
}

interface Span {
  readonly state: EventState;
  readonly ids: EventIds;
  readonly number: number;
  readonly at: number;
  readonly turnId: string;
  readonly isError: boolean;
  readonly usage?: Extract<RecordedEvent, { readonly type: "turn_ended" }>["usage"] | undefined;
}

/** Ends the span of a turn's attempt, which also closes the previews that no event followed. */
function spanEnd({ state, ids, number, at, turnId, isError, usage }: Span): WireEvent[] {
  if (state.running?.turnId !== turnId) return [];
  return [
    {
      id: ids.numbered(number, "m"),
      type: "span.model_request_end",
      model_request_start_id: ids.numbered(state.running.started, "m"),
      is_error: isError,
      model_usage: {
        input_tokens: usage?.inputTokens ?? 0,
        output_tokens: usage?.outputTokens ?? 0,
        cache_read_input_tokens: usage?.cacheReadInputTokens ?? 0,
        cache_creation_input_tokens: usage?.cacheCreationInputTokens ?? 0,
      },
      processed_at: timeOf(at),
    },
  ];
}

function toolUseEvent({ event, ids, isAsked }: Of<"tool_use">): WireEvent {
  const { id, name, input, parent } = event;
  const custom = customToolName(name);
  const common = {
    id: ids.toolUse(id),
    processed_at: timeOf(event.at),
    input: isObject(input) ? input : { input },
    ...(parent !== undefined && { session_thread_id: ids.thread(parent) }),
  };
  if (custom !== undefined) return { ...common, type: "agent.custom_tool_use", name: custom };
  const evaluated = isAsked
    ? ({ evaluated_permission: "ask", evaluation: { type: "always_ask" } } as const)
    : ({ evaluated_permission: "allow", evaluation: { type: "always_allow" } } as const);
  const mcp = mcpToolOf(name);
  if (mcp === undefined) return { ...common, type: "agent.tool_use", name, ...evaluated };
  return { ...common, type: "agent.mcp_tool_use", name: mcp.tool, mcp_server_name: mcp.server, ...evaluated };
}

function toolResultEvent({ event, ids, state }: Of<"tool_result">): WireEvent | [] {
  const name = state.tools.get(event.toolUseId)?.name ?? "";
  // The client gave the result itself.
  if (customToolName(name) !== undefined) return [];
  const used = ids.toolUse(event.toolUseId);
  const result = {
    id: ids.numbered(event.number, "o"),
    processed_at: timeOf(event.at),
    content: resultContent(event.output),
    is_error: event.failed,
  };
  if (mcpToolOf(name) === undefined) return { ...result, type: "agent.tool_result", tool_use_id: used };
  return { ...result, type: "agent.mcp_tool_result", mcp_tool_use_id: used };
}

/** Returns the server and the tool of the name of an MCP tool. */
function mcpToolOf(name: string): { readonly server: string; readonly tool: string } | undefined {
  const [, server, tool] = /^mcp__(.+?)__(.+)$/s.exec(name) ?? [];
  return server === undefined || tool === undefined ? undefined : { server, tool };
}

function answerEvents(translated: Of<"approval_settled">): WireEvent[] {
  const { event, ids, state } = translated;
  const { outcome, message, cause, tool = "" } = event;
  const used = ids.toolUse(toolUseOf(event));
  const common = { id: ids.answer(event.id), processed_at: timeOf(event.at) };
  const answers: WireEvent[] = [];
  if (outcome === "approved" || outcome === "denied") {
    if (customToolName(tool) === undefined) {
      const result = outcome === "approved" ? "allow" : "deny";
      const deny = outcome === "denied" ? { deny_message: message } : {};
      answers.push({ ...common, type: "user.tool_confirmation", tool_use_id: used, result, ...withoutUndefined(deny) });
    } else {
      const result = resultIn(event.input) ?? { content: textContent(message ?? ""), is_error: true };
      answers.push({ ...common, type: "user.custom_tool_result", custom_tool_use_id: used, ...result });
    }
  }
  const left = state.asked.filter(({ approvalId }) => approvalId !== event.id);
  if (left.length > 0) {
    const event_ids = left.map(({ toolUseId }) => ids.toolUse(toolUseId));
    return [...answers, idle(translated, "i", { type: "requires_action", event_ids })];
  }
  // The events of the turn or of the session tell what comes next.
  if (outcome === "withdrawn" && cause !== "taken_back") return answers;
  const running = { id: ids.numbered(event.number, "r"), type: "session.status_running" } as const;
  return [...answers, { ...running, processed_at: timeOf(event.at) }];
}

/** Returns the tool calls that wait for the client, also this one. */
function waitingFor({ state, ids }: Translated, toolUseId: string): string[] {
  return [...state.asked.map((asked) => asked.toolUseId), toolUseId].map((id) => ids.toolUse(id));
}

function idle({ event, ids }: Translated, part: string, stop_reason: StopReason): WireEvent {
  const id = ids.numbered(event.number, part);
  return { id, type: "session.status_idle", stop_details: null, stop_reason, processed_at: timeOf(event.at) };
}

function faultEvents({ event, ids }: Of<"fault">): WireEvent[] {
  const { kind, server } = event.fault;
  if (kind !== "mcp_server_failed" || server === undefined) return [];
  const error = {
    type: "mcp_connection_failed_error",
    mcp_server_name: server,
    message: "The MCP server cannot be reached.",
    retry_status: { type: "retrying" },
  } as const;
  return [{ id: ids.numbered(event.number, "e"), type: "session.error", error, processed_at: timeOf(event.at) }];
}

function noteEvents({ event, ids }: Of<"noted">): WireEvent[] {
  const note = readNote(event.kind, event.data);
  const common = { id: ids.note(event.id), processed_at: timeOf(event.at) };
  switch (note?.kind) {
    case "interrupt":
      return [{ ...common, type: "user.interrupt" }];
    case "archived":
      return [{ ...common, type: "session.status_terminated" }];
    case "updated":
      return [{ ...common, type: "session.updated", ...note.changes }];
    default:
      return [];
  }
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
