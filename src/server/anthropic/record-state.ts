import type { RecordedEvent } from "../../session/record/session-event-types.ts";
import { after, type EventState, NO_STATE, TOOL_EVENTS, TURN_EVENTS } from "./event-state.ts";
import type { SessionPort } from "./session-port.ts";

/**
 * How many events of each group to look at. A turn has few starts; more than this many calls and answers since a tool call that
 * still runs would hide it.
 */
const LOOK_BACK = { turns: 4, tools: 256 } as const;

/** Returns the state before the event with this number, in constant time. @throws CastellanError `JOURNAL_UNAVAILABLE` */
export async function stateBefore({ session }: SessionPort, number: number): Promise<EventState> {
  if (number <= 1) return NO_STATE;
  const [turns, tools] = await Promise.all([
    session.pastEvents({ before: number, types: TURN_EVENTS, limit: LOOK_BACK.turns }),
    session.pastEvents({ before: number, types: TOOL_EVENTS, limit: LOOK_BACK.tools }),
  ]);
  return stateAfter([...turns, ...tools]);
}

/** Returns the state after these events, which may be in any order. */
function stateAfter(events: readonly RecordedEvent[]): EventState {
  return events.toSorted((one, other) => one.number - other.number).reduce(after, NO_STATE);
}
