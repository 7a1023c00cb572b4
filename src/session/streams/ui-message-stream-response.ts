import { systemClock } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import type { SessionName } from "../../names.ts";
import type { SessionEvent } from "../record/session-event-types.ts";
import { type EventStreamOptions, eventStreamResponse } from "./event-stream-response.ts";
import { interleaved } from "./interleaved.ts";
import { type RecordReads, recordedOutput } from "./recorded-output.ts";
import type { TurnApprovals } from "./sse.ts";
import type { TurnSource } from "./turn-source.ts";
import type { UIMessageChunk } from "./ui-message-chunk.ts";
import { UIMessageStream } from "./ui-message-stream.ts";

/**
 * Returns a turn as a UI message stream of the AI SDK. A client that leaves only detaches its reader; the turn
 * continues.
 */
export function uiMessageStreamResponse(
  turn: TurnSource,
  reads: RecordReads,
  session: SessionName,
  options: EventStreamOptions,
  approvals?: TurnApprovals,
): Response {
  const { clock = systemClock, view = "user" } = options;
  const stream = new UIMessageStream({ id: turn.id, session }, view);
  const output = turn.recalled ? storedEvents(turn, reads, stream) : liveEvents(turn, reads, stream);
  const shown = approvals === undefined ? output : interleaved(output, approvalsOf(approvals(), stream), clock);
  return eventStreamResponse(eventsOf(turn, shown, stream), options, { "x-vercel-ai-ui-message-stream": "v1" });
}

async function* approvalsOf(
  from: AsyncGenerator<SessionEvent, void, undefined>,
  stream: UIMessageStream,
): AsyncGenerator<string, void, undefined> {
  for await (const event of from) {
    const told = events(stream.approval(event));
    if (told !== "") yield told;
  }
}

async function* eventsOf(
  turn: TurnSource,
  shown: AsyncGenerator<string, void, undefined>,
  stream: UIMessageStream,
): AsyncGenerator<string, void, undefined> {
  yield events(stream.start());
  try {
    yield* shown;
    yield events(stream.complete(await turn.result));
  } catch (error) {
    // The AI SDK can resume after a broken connection, and not after an error.
    if (turn.continues) throw error;
    yield events(stream.fail(error));
  }
  yield "data: [DONE]\n\n";
}

async function* liveEvents(
  turn: TurnSource,
  reads: RecordReads,
  stream: UIMessageStream,
): AsyncGenerator<string, void, undefined> {
  let number = 0;
  let isTold = false;
  try {
    for await (const batch of turn.log.batches()) {
      for (const message of batch) {
        const told = events(stream.read({ message, attempt: turn.positionOf(number++).attempt }));
        isTold ||= told !== "";
        if (told !== "") yield told;
      }
    }
  } catch (error) {
    // The AI SDK can take back no more than a step. A page that resumes gets everything.
    if (isTold || !(turn.recalled || CastellanError.is(error, "EVENTS_LOST"))) throw error;
    yield* storedEvents(turn, reads, stream);
  }
}

/** Yields the turn from the record of its session, or, if that does not have it, from its outcome. */
async function* storedEvents(
  turn: TurnSource,
  reads: RecordReads,
  stream: UIMessageStream,
): AsyncGenerator<string, void, undefined> {
  // Whether the turn is in the journal is known with the result.
  if (turn.recalled) await turn.result.catch(() => {});
  const output = recordedOutput(turn, reads);
  let next = await output.next();
  for (; !next.done; next = await output.next()) {
    const { event, attempt } = next.value;
    const told = events(stream.replay(event, attempt));
    if (told !== "") yield told;
  }
  if (next.value) return;
  await turn.result.catch(() => {});
  const told = events(stream.recall(turn.shown ?? [], turn.state === "completed"));
  if (told !== "") yield told;
}

function events(chunks: Iterable<UIMessageChunk>): string {
  return Array.from(chunks, (chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("");
}
