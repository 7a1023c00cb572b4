import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { DeltaReader } from "../../claude/messages/deltas.ts";
import type { ShownPiece } from "../../claude/messages/shown.ts";
import { toolUsesOf } from "../../claude/messages/tools.ts";
import { CastellanError } from "../../errors.ts";
import type { EventPosition } from "./event-id.ts";
import type { TurnSource } from "./turn-source.ts";

/** A message of a turn and its number, counting from 0. */
export interface NumberedMessage {
  readonly number: number;
  readonly message: SDKMessage;
  /** The attempt, from 1. When it rises, everything before is void, because the turn runs again. */
  readonly attempt: number;
}

/** The output of one message of a turn, or one kept piece of it. */
export interface Shown {
  readonly position: EventPosition;
  readonly pieces: readonly ShownPiece[];
}

/**
 * Yields a turn's output from its beginning, in order and in batches. For a recalled turn, yields what the journal
 * keeps of its last attempt. If the turn turns out to be recalled while it is read, yields everything again, in another
 * life.
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
    // A failed turn has no more output than this.
    if (!turn.recalled || (isGiven && !CastellanError.is(error, "EVENTS_LOST"))) throw error;
  }
  // The kept output arrives with the result.
  await turn.result.catch(() => {});
  const { id: life, attempts: attempt, shown = [] } = turn;
  if (shown.length > 0) yield shown.map((piece, number) => ({ position: { life, attempt, number }, pieces: [piece] }));
  await turn.result;
}

async function* shownInLog(turn: TurnSource): AsyncGenerator<readonly Shown[], void, undefined> {
  const reader = new DeltaReader();
  let number = 0;
  // Read from the beginning, because the text of a message depends on the messages before it.
  for await (const batch of turn.log.batches()) {
    const shown: Shown[] = [];
    for (const message of batch) {
      const pieces = [
        ...reader.read(message),
        ...toolUsesOf(message).map((use) => ({ type: "tool_use", ...use }) as const),
      ];
      if (pieces.length > 0) shown.push({ position: turn.positionOf(number), pieces });
      number++;
    }
    if (shown.length > 0) yield shown;
  }
}

/** A piece of output and its attempt. */
export interface TriedPiece {
  readonly piece: Exclude<ShownPiece, { readonly type: "lost" }>;
  readonly attempt: number;
}

/**
 * Like {@link shownBy}, for readers that cannot discard what they have.
 *
 * @throws CastellanError `lost` if output is no longer kept, or would repeat
 */
export async function* piecesOf(
  turn: TurnSource,
  lost: () => CastellanError<"EVENTS_LOST">,
): AsyncGenerator<readonly TriedPiece[], void, undefined> {
  let given = false;
  for await (const batch of shownBy(turn)) {
    if (given && batch[0]?.position.life === turn.id) throw lost();
    given = true;
    const tried: TriedPiece[] = [];
    for (const { position, pieces } of batch) {
      for (const piece of pieces) {
        if (piece.type !== "lost") tried.push({ piece, attempt: position.attempt });
        else {
          if (tried.length > 0) yield tried;
          throw lost();
        }
      }
    }
    yield tried;
  }
}
