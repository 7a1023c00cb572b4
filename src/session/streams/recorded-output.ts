import { isDamage } from "../../journal/model/journal-errors.ts";
import type { EventText, RecordedEvent, SessionEvent } from "../record/session-event-types.ts";
import { isContentReference, type ReadContent, withContents } from "../record/stored-contents.ts";
import { type ReadEvents, turnEvents } from "./turn-events.ts";
import type { TurnSource } from "./turn-source.ts";

/** How to read the record of a turn's session. Both fail with `JOURNAL_UNAVAILABLE`. */
export interface RecordReads {
  readonly events: ReadEvents;
  readonly content: ReadContent;
}

type EventOf<Type extends RecordedEvent["type"]> = RecordedEvent & { readonly type: Type };

/** An event of a turn's output, with its contents. `lost` replaces output that is not kept. */
export type OutputEvent =
  | (Omit<EventOf<"text">, "text"> & { readonly text: string })
  | (Omit<EventOf<"thinking">, "text"> & { readonly text: string })
  | EventOf<"tool_use">
  | EventOf<"tool_result">
  | { readonly type: "lost" };

export interface RecordedOutput {
  /** The number of the event in the record of the session, or 0 for output before the first event. */
  readonly number: number;
  /** The attempt of the turn, from 1. */
  readonly attempt: number;
  readonly event: OutputEvent;
}

/**
 * Yields the output of a turn as its session's record has it, in whole blocks, from the beginning of its last attempt. Waits for the end
 * of a turn that runs. Returns whether the record has the turn.
 *
 * @throws CastellanError as `reads`
 */
export async function* recordedOutput(
  turn: Pick<TurnSource, "id" | "accepted" | "result" | "recalled">,
  reads: RecordReads,
): AsyncGenerator<RecordedOutput, boolean, undefined> {
  const states = reads.events({ after: 0, turn: turn.id, types: ["turn_started", "turn_ended"], live: false });
  let [started, ended]: [EventOf<"turn_started"> | undefined, EventOf<"turn_ended"> | undefined] = [
    undefined,
    undefined,
  ];
  try {
    for await (const event of states) {
      if (event.type === "turn_started") started = event;
      if (event.type === "turn_ended") ended = event;
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
  }
  // The last events of the turn are damaged; its outcome has what they had.
  if (ended === undefined && (started === undefined || turn.recalled)) return false;
  let attempt = started?.attempt ?? 1;
  let number = 0;
  // The record no longer has the beginning of the turn.
  if (started === undefined && ended?.state === "completed") yield { number, attempt, event: { type: "lost" } };
  const after = started === undefined ? 0 : started.number - 1;
  // Only a reader of all events learns where some are damaged.
  const events =
    ended === undefined
      ? turnEvents(turn, reads.events, { after })
      : reads.events({ after, live: false, ...(started === undefined && { turn: turn.id }) });
  try {
    for await (const event of events) {
      number = event.number ?? number;
      if (event.type === "pruned" && started !== undefined) {
        number = event.oldest - 1;
        yield { number, attempt, event: { type: "lost" } };
      }
      const isOfTurn = event.type === "lost" || ("turnId" in event && event.turnId === turn.id);
      if (!isOfTurn) continue;
      if (event.type === "turn_started") attempt = event.attempt;
      const output = await outputOf(event, reads.content);
      if (output !== undefined) yield { number, attempt, event: output };
      if (event.type === "turn_ended") break;
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    yield { number, attempt, event: { type: "lost" } };
  }
  return true;
}

/** Returns what an event adds to the output of its turn, if anything. Leaves out the words of subagents. */
async function outputOf(event: SessionEvent, read: ReadContent): Promise<OutputEvent | undefined> {
  switch (event.type) {
    case "text":
    case "thinking": {
      if (event.parent !== undefined) return undefined;
      const text = await textOf(event.text, read);
      return text === undefined ? { type: "lost" } : { ...event, text };
    }
    case "tool_use":
      return { ...event, input: await withContents(event.input, read) };
    case "tool_result": {
      const output = await withContents(event.output, read);
      return { ...event, output: isContentReference(output) ? NOT_KEPT : output };
    }
    case "turn_ended":
      return event.cut === true ? { type: "lost" } : undefined;
    case "lost":
      return { type: "lost" };
    default:
      return undefined;
  }
}

/** Replaces the output of a tool that is no longer kept. */
export const NOT_KEPT = "(the answer of this tool is no longer kept)";

async function textOf(text: EventText, read: ReadContent): Promise<string | undefined> {
  const whole = typeof text === "string" ? text : await withContents({ ...text }, read);
  return typeof whole === "string" ? whole : undefined;
}
