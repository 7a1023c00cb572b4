import type { RecordedEvent } from "../../wire/event-types.ts";

type EventType = RecordedEvent["type"];

/** The kinds of events that a reader chooses from. */
const GROUPS = {
  texts: ["turn_accepted", "steered", "text", "thinking"],
  tools: ["tool_use", "tool_result"],
  approvals: ["approval_requested", "approval_settled"],
  lifecycle: [
    "started",
    "exit",
    "quarantined",
    "hibernated",
    "conversation",
    "compacted",
    "model_changed",
    "permission_mode_changed",
    "fault",
    "turn_retried",
    "lost",
  ],
  costs: ["turn_ended", "spent"],
  tasks: ["task_started", "task_overdue", "task_ended", "wakeup_scheduled", "wakeup_fired", "wakeup_cancelled"],
  notes: ["noted"],
  other: ["turn_started", "steer_settled", "message_recorded", "unknown"],
} as const satisfies Readonly<Record<string, readonly EventType[]>>;

/** A kind of events. */
export type EventGroup = keyof typeof GROUPS;

/** All kinds, in the order of the bar. */
export const EVENT_GROUPS: readonly EventGroup[] = Object.keys(GROUPS) as EventGroup[];

/** Events that are shown only to those who choose their kind. */
const ON_REQUEST: ReadonlySet<EventType> = new Set<EventType>([...GROUPS.other, "spent"]);

const FAILING: ReadonlySet<EventType> = new Set<EventType>([
  "tool_use",
  "tool_result",
  "approval_settled",
  "exit",
  "quarantined",
  "fault",
  "turn_retried",
  "lost",
  "turn_ended",
]);

/** What of a record is shown. */
export interface RecordView {
  /** Only events of these kinds. Empty: all. */
  readonly groups: readonly EventGroup[];
  /** Only what failed. */
  readonly failed: boolean;
  /** Whether new events wait. */
  readonly paused: boolean;
}

/** Returns what a query of the address shows. Ignores what it does not know. */
export function recordViewOf(query: URLSearchParams): RecordView {
  const asked = (query.get("show") ?? "").split(",");
  return {
    groups: EVENT_GROUPS.filter((group) => asked.includes(group)),
    failed: query.has("failed"),
    paused: query.has("paused"),
  };
}

/** Returns the query with what of the record is shown. Other parts of the query stay. */
export function recordQuery({ groups, failed, paused }: RecordView, before: string): string {
  const query = new URLSearchParams(before);
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) query.delete(name);
    else query.set(name, value);
  };
  set("show", groups.length === 0 ? undefined : groups.join(","));
  set("failed", failed ? "1" : undefined);
  set("paused", paused ? "1" : undefined);
  const text = query.toString().replaceAll("%2C", ",");
  return text === "" ? "" : `?${text}`;
}

/** Returns the types of events that a view shows, if only what failed also those that tell it. */
export function typesOf({ groups, failed }: RecordView): readonly EventType[] {
  const shown =
    groups.length > 0
      ? groups.flatMap((group): readonly EventType[] => GROUPS[group])
      : EVENT_GROUPS.flatMap((group): readonly EventType[] => GROUPS[group]).filter((type) => !ON_REQUEST.has(type));
  return failed ? shown.filter((type) => FAILING.has(type)) : shown;
}

/** The uses of tools whose result may still come. */
const MOST_USES = 200;
const MOST_FAILURES = 10_000;

/** Decides which events of a record a view shows. */
export class Admission {
  readonly types: readonly EventType[];
  readonly #types: ReadonlySet<EventType>;
  readonly #failed: boolean;
  readonly #failures = new Set<string>();
  readonly #uses = new Map<string, RecordedEvent>();

  constructor(view: RecordView) {
    this.types = typesOf(view);
    this.#types = new Set(this.types);
    this.#failed = view.failed;
  }

  /** Returns the events that are shown, by number. A failed use of a tool comes with its result. @param events by number */
  admit(events: readonly RecordedEvent[]): readonly RecordedEvent[] {
    const known = events.filter(({ type }) => this.#types.has(type));
    return this.#failed ? this.#failing(known) : known;
  }

  #failing(events: readonly RecordedEvent[]): readonly RecordedEvent[] {
    for (const event of events) {
      if (event.type === "tool_use") this.#uses.set(event.id, event);
      else if (event.type === "tool_result" && event.failed) this.#failures.add(event.toolUseId);
    }
    const shown = events.filter(
      (event) => isFailure(event) || (event.type === "tool_use" && this.#failures.has(event.id)),
    );
    const has = new Set(shown);
    const uses = shown.flatMap((event) => {
      const use = event.type === "tool_result" ? this.#uses.get(event.toolUseId) : undefined;
      return use === undefined || has.has(use) ? [] : [use];
    });
    for (const [id] of this.#uses) {
      if (this.#uses.size <= MOST_USES) break;
      this.#uses.delete(id);
    }
    if (this.#failures.size > MOST_FAILURES) this.#failures.clear();
    return uses.length === 0 ? shown : [...shown, ...uses].sort((one, other) => one.number - other.number);
  }
}

/** Whether an event tells that something went wrong. */
function isFailure(event: RecordedEvent): boolean {
  switch (event.type) {
    case "tool_result":
      return event.failed;
    case "turn_ended":
      return event.state !== "completed";
    case "exit":
      return event.exit.class !== "done";
    case "approval_settled":
      return event.outcome !== "approved";
    case "quarantined":
    case "fault":
    case "turn_retried":
    case "lost":
      return true;
    default:
      return false;
  }
}
