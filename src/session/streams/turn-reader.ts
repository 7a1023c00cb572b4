import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { DeltaReader } from "../../claude/messages/deltas.ts";
import type { ShownPiece } from "../../claude/messages/shown.ts";
import { toolUsesOf } from "../../claude/messages/tools.ts";
import { CastellanError } from "../../errors.ts";
import type { EventPlace } from "./event-id.ts";
import type { TurnSource } from "./turn-source.ts";

/** A message of a turn and its number, which counts from 0. */
export interface NumberedMessage {
  readonly number: number;
  readonly message: SDKMessage;
  /** Which try it is of, from 1. When it rises, what came before is void: the turn was cut, and is run again. */
  readonly attempt: number;
}

/** What one message of a turn has shown, or one piece of what is kept of it. */
export interface Shown {
  readonly place: EventPlace;
  readonly pieces: readonly ShownPiece[];
}

/**
 * What a turn shows from its beginning, in order; several at a time, which costs a reader less. Of a turn that was recalled it is what
 * the journal keeps of its last try. That may turn out while it is read: then all is given again, in a life of its own.
 *
 * @throws CastellanError how the turn ended, if it did not complete
 */
export async function* shownBy(turn: TurnSource): AsyncGenerator<readonly Shown[], void, undefined> {
  let isGiven = false;
  try {
    for await (const batch of turn.recalled ? [] : shownInLog(turn)) {
      isGiven = true;
      yield batch;
    }
    if (!turn.recalled) return;
  } catch (error) {
    // What has been given of a turn that failed is all there is.
    if (!turn.recalled || (isGiven && !CastellanError.is(error, "EVENTS_LOST"))) throw error;
  }
  // What is kept comes with what came of it.
  await turn.result.catch(() => {});
  const { id: life, attempts: attempt, shown = [] } = turn;
  if (shown.length > 0) yield shown.map((piece, number) => ({ place: { life, attempt, number }, pieces: [piece] }));
  await turn.result;
}

async function* shownInLog(turn: TurnSource): AsyncGenerator<readonly Shown[], void, undefined> {
  const reader = new DeltaReader();
  let number = 0;
  // From the beginning, because what a message adds to the text depends on those before it.
  for await (const batch of turn.log.batches()) {
    const shown: Shown[] = [];
    for (const message of batch) {
      const pieces = [
        ...reader.read(message),
        ...toolUsesOf(message).map((use) => ({ type: "tool_use", ...use }) as const),
      ];
      if (pieces.length > 0) shown.push({ place: turn.placeOf(number), pieces });
      number++;
    }
    if (shown.length > 0) yield shown;
  }
}

/** A piece that is still there, and of which try it is. */
export interface TriedPiece {
  readonly piece: Exclude<ShownPiece, { readonly type: "lost" }>;
  readonly attempt: number;
}

/**
 * As {@link shownBy}, for readers who cannot be told to forget what they have.
 *
 * @throws CastellanError `lost` where something is no longer there, or would be given twice
 */
export async function* piecesOf(
  turn: TurnSource,
  lost: () => CastellanError<"EVENTS_LOST">,
): AsyncGenerator<readonly TriedPiece[], void, undefined> {
  let given = false;
  for await (const batch of shownBy(turn)) {
    if (given && batch[0]?.place.life === turn.id) throw lost();
    given = true;
    const tried: TriedPiece[] = [];
    for (const { place, pieces } of batch) {
      for (const piece of pieces) {
        if (piece.type !== "lost") tried.push({ piece, attempt: place.attempt });
        else {
          if (tried.length > 0) yield tried;
          throw lost();
        }
      }
    }
    yield tried;
  }
}
