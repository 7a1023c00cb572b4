import type { RecordedEvent } from "../../wire/event-types.ts";

/** An event of one type. */
export type EventOf<Type extends RecordedEvent["type"]> = Extract<RecordedEvent, { type: Type }>;

/** How far a use of a tool is. `asking`: somebody has to allow it. `unknown`: its result may be among the events that are not shown. */
export type ToolState = "asking" | "running" | "done" | "failed" | "cut" | "unknown";

/** What is shown in one place of a record: an event, and those that complete it. */
export interface RecordItem {
  readonly event: RecordedEvent;
  /** The result of a use of a tool. */
  readonly result: EventOf<"tool_result"> | undefined;
  /** The end of an approval. */
  readonly settled: EventOf<"approval_settled"> | undefined;
  /** Of a use of a tool, or of an approval. */
  readonly state: ToolState;
  /** What the subagent that it belongs to is for. */
  readonly subagent: string | undefined;
  /** Where in its turn it is. */
  readonly turn: "" | "first" | "inner" | "last" | "only";
}

/**
 * Returns what is shown of the events.
 *
 * @param events by number
 * @param live whether no later event is missing, so that a tool without a result runs
 */
export function itemsOf(events: readonly RecordedEvent[], live: boolean): readonly RecordItem[] {
  const known = facts(events);
  const shown = events.filter((event) => !isAbsorbed(event, known));
  return shown.map((event, index) => ({
    event,
    result: event.type === "tool_use" ? known.results.get(event.id) : undefined,
    settled: event.type === "approval_requested" ? known.settled.get(event.id) : undefined,
    state: stateOf(event, known, live),
    subagent: event.parent === undefined ? undefined : (known.tasks.get(event.parent) ?? "subagent"),
    turn: placeOf(event.turnId, shown[index - 1]?.turnId, shown[index + 1]?.turnId),
  }));
}

/** Whether two items show the same. */
export function sameItem(one: RecordItem, other: RecordItem): boolean {
  return (Object.keys(one) as (keyof RecordItem)[]).every((field) => one[field] === other[field]);
}

interface Facts {
  readonly uses: ReadonlySet<string>;
  readonly results: ReadonlyMap<string, EventOf<"tool_result">>;
  readonly asked: ReadonlySet<string>;
  readonly settled: ReadonlyMap<string, EventOf<"approval_settled">>;
  /** The approvals of uses of tools. */
  readonly approvals: ReadonlyMap<string, string>;
  readonly ended: ReadonlySet<string>;
  readonly tasks: ReadonlyMap<string, string>;
  /** The last end of a process. */
  readonly exit: number;
}

function facts(events: readonly RecordedEvent[]): Facts {
  const found = {
    uses: new Set<string>(),
    results: new Map<string, EventOf<"tool_result">>(),
    asked: new Set<string>(),
    settled: new Map<string, EventOf<"approval_settled">>(),
    approvals: new Map<string, string>(),
    ended: new Set<string>(),
    tasks: new Map<string, string>(),
    exit: 0,
  };
  for (const event of events) {
    if (event.type === "tool_use") {
      found.uses.add(event.id);
      found.tasks.set(event.id, taskOf(event));
    } else if (event.type === "tool_result") found.results.set(event.toolUseId, event);
    else if (event.type === "approval_requested") {
      found.asked.add(event.id);
      if (event.toolUseId !== undefined) found.approvals.set(event.toolUseId, event.id);
    } else if (event.type === "approval_settled") found.settled.set(event.id, event);
    else if (event.type === "turn_ended") found.ended.add(event.turnId);
    else if (event.type === "exit") found.exit = event.number;
  }
  return found;
}

/** Whether another event's item shows the event. */
function isAbsorbed(event: RecordedEvent, { uses, asked }: Facts): boolean {
  if (event.type === "tool_result") return uses.has(event.toolUseId);
  return event.type === "approval_settled" && asked.has(event.id);
}

function stateOf(event: RecordedEvent, known: Facts, live: boolean): ToolState {
  const { results, settled, approvals, ended, exit } = known;
  if (event.type === "tool_result") return event.failed ? "failed" : "done";
  if (event.type !== "tool_use" && event.type !== "approval_requested") return "unknown";
  if (event.type === "approval_requested" && settled.has(event.id)) return "done";
  const result = event.type === "tool_use" ? results.get(event.id) : undefined;
  if (result !== undefined) return result.failed ? "failed" : "done";
  if (exit > event.number || (event.turnId !== undefined && ended.has(event.turnId))) return "cut";
  if (!live) return "unknown";
  const approval = event.type === "tool_use" ? approvals.get(event.id) : event.id;
  return approval !== undefined && !settled.has(approval) ? "asking" : "running";
}

/** What a subagent is for. */
function taskOf({ name, input }: EventOf<"tool_use">): string {
  const { description } = (typeof input === "object" && input !== null ? input : {}) as {
    readonly description?: unknown;
  };
  return typeof description === "string" ? description : name;
}

function placeOf(turn: string | undefined, before: string | undefined, after: string | undefined): RecordItem["turn"] {
  if (turn === undefined) return "";
  if (turn !== before) return turn === after ? "first" : "only";
  return turn === after ? "inner" : "last";
}
