import type { RecordedEvent } from "../../session/record/session-event-types.ts";
import { queuedTurns } from "./event-page.ts";
import type { EventState } from "./event-state.ts";
import { evaluatedAt } from "./permission.ts";
import { readPlace } from "./place.ts";
import { stateBefore } from "./record-state.ts";
import type { SessionPort } from "./session-port.ts";

/** A call of a tool in the record. */
export type ToolUseEvent = Extract<RecordedEvent, { readonly type: "tool_use" }>;

/** Where a stream begins. */
export interface StreamStart {
  /** The stream reads the events after this number. */
  readonly after: number;
  /** How many of the wire events of the first number the client has. */
  readonly sub: number;
  /** After the event with the number `after`. */
  readonly state: EventState;
  /** The tool calls before that, which no stream has sent yet. */
  readonly held: readonly ToolUseEvent[];
  /** The number of the last event now; later ones are live. */
  readonly last: number;
  /** The turns that wait now. */
  readonly queued: ReadonlySet<string>;
}

/**
 * Returns where a stream begins: after the event that the client has seen last, or with the next event.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`
 */
export async function streamStart(
  port: SessionPort,
  lastEventId: string | undefined,
  now: number,
): Promise<StreamStart> {
  const [newest] = await port.session.pastEvents({ limit: 1 });
  const last = newest?.number ?? 0;
  const seen = lastEventId === undefined ? undefined : readPlace(lastEventId);
  const after = seen === undefined ? last : Math.max(0, seen.number - 1);
  const [state, queued] = await Promise.all([stateBefore(port, after + 1), queuedTurns(port)]);
  const numbers = seen?.held ?? unsent(state, now);
  const held = await Promise.all(numbers.map((number) => toolUseAt(port, number)));
  return { after, sub: seen?.sub ?? 0, state, held: held.flatMap((one) => one ?? []), last, queued };
}

/** Returns the numbers of the tool calls whose permission is not evaluated yet. */
function unsent(state: EventState, now: number): number[] {
  return [...state.tools.values()].flatMap((tool) => {
    const at = evaluatedAt(tool, state);
    return at === "later" || (at !== "now" && at > now) ? [tool.number] : [];
  });
}

async function toolUseAt({ session }: SessionPort, number: number): Promise<ToolUseEvent | undefined> {
  const [event] = await session.pastEvents({ before: number + 1, types: ["tool_use"], limit: 1 });
  return event?.type === "tool_use" && event.number === number ? event : undefined;
}
