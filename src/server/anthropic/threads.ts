import type { SessionInfo } from "../../application/finding.ts";
import type { RecordedEvent } from "../../session/record/session-event-types.ts";
import { agentOfSession, type WireAgent, wireAgent } from "./agents.ts";
import { subagentOf } from "./event-state.ts";
import { EventIds, sessionIdOf } from "./ids.ts";
import { portOf } from "./session-port.ts";
import { type SessionSource, statusOf, type WireStatus } from "./wire-session.ts";

/** A thread on the wire: the session's own, or that of a subagent. */
export interface WireThread {
  readonly type: "session_thread";
  readonly id: string;
  readonly session_id: string;
  readonly parent_thread_id: string | null;
  readonly agent: WireAgent | (Omit<WireAgent, "type" | "id" | "version" | "multiagent"> & { readonly type: "inline" });
  readonly status: WireStatus;
  readonly created_at: string;
  readonly updated_at: string;
  readonly archived_at: null;
  readonly stats: null;
  readonly usage: null;
  readonly workflow_run_id: null;
}

/** How many of the latest tool calls to search for those that started a subagent. */
const LOOK_BACK = 256;

/** Returns the threads of a session, its own first. @throws CastellanError `JOURNAL_UNAVAILABLE` */
export async function threadsOf({ supervisor }: SessionSource, info: SessionInfo): Promise<WireThread[]> {
  const { name, createdAt = 0 } = info;
  const ids = new EventIds(name);
  const { session } = portOf(supervisor, name);
  const events = await session.pastEvents({ types: ["tool_use", "tool_result", "task_ended"], limit: LOOK_BACK });
  const ended = endsOf(events);
  const agent = wireAgent(agentOfSession(supervisor, name));
  const common = {
    type: "session_thread",
    session_id: sessionIdOf(name),
    archived_at: null,
    stats: null,
    usage: null,
  } as const;
  const own: WireThread = {
    ...common,
    id: ids.thread(),
    parent_thread_id: null,
    agent,
    status: statusOf(info),
    ...timesOf(createdAt, createdAt),
    workflow_run_id: null,
  };
  const children = events.toReversed().flatMap((event): WireThread[] => {
    const subagent = event.type === "tool_use" && event.parent === undefined ? subagentOf(event) : undefined;
    if (event.type !== "tool_use" || subagent === undefined) return [];
    const { type: _, id: _1, version: _2, multiagent: _3, ...inline } = agent;
    return [
      {
        ...common,
        id: ids.thread(event.id),
        parent_thread_id: ids.thread(),
        agent: { ...inline, type: "inline", name: subagent, system: null },
        status: ended.has(event.id) ? "idle" : "running",
        ...timesOf(event.at, ended.get(event.id) ?? event.at),
        workflow_run_id: null,
      },
    ];
  });
  return [own, ...children];
}

/** Returns when the calls that started subagents ended, by their ids: with their answer, or with their background task. */
function endsOf(events: readonly RecordedEvent[]): ReadonlyMap<string, number> {
  const tasks = new Map(events.flatMap((event) => (event.type === "task_ended" ? [[event.taskId, event.at]] : [])));
  return new Map(
    events.flatMap((event) => {
      if (event.type !== "tool_result") return [];
      const at = event.taskId === undefined ? event.at : tasks.get(event.taskId);
      return at === undefined ? [] : [[event.toolUseId, at]];
    }),
  );
}

function timesOf(created: number, updated: number): Pick<WireThread, "created_at" | "updated_at"> {
  return { created_at: new Date(created).toISOString(), updated_at: new Date(updated).toISOString() };
}
