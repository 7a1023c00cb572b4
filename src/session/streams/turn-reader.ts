import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { DeltaReader } from "../../claude/messages/deltas.ts";
import type { ShownPiece } from "../../claude/messages/shown.ts";
import { toolUsesOf } from "../../claude/messages/tools.ts";
import { CastellanError } from "../../errors.ts";
import type { EventPosition } from "./event-id.ts";
import { type OutputEvent, type RecordReads, recordedOutput } from "./recorded-output.ts";
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
 * Yields a turn's output from its beginning, in order and in batches: from its messages, or, if those are gone, from the record of its
 * session. If messages are gone when they are to be read, or the turn turns out to be recalled, yields everything again, in another life.
 *
 * @throws CastellanError how the turn ended, if it did not complete; `JOURNAL_UNAVAILABLE`
 */
export async function* shownBy(
  turn: TurnSource,
  reads: RecordReads,
): AsyncGenerator<readonly Shown[], void, undefined> {
  let isGiven = false;
  try {
    for await (const batch of turn.recalled ? [] : shownInLog(turn)) {
      isGiven = true;
      yield batch;
    }
    if (!turn.recalled) return;
  } catch (error) {
    // A failed turn has no more output than this.
    if (!CastellanError.is(error, "EVENTS_LOST") && (!turn.recalled || isGiven)) throw error;
  }
  // Whether the turn is in the journal is known with the result.
  if (turn.recalled) await turn.result.catch(() => {});
  if (!(yield* shownInRecord(turn, reads))) yield* shownInOutcome(turn);
  await turn.result;
}

/** The life of positions in the record: they count the events of the session. */
function recordLife({ id }: TurnSource): string {
  return id;
}

/** The life of positions in the outcome of a turn that is not in the record. */
function outcomeLife({ id }: TurnSource): string {
  return `${id}-outcome`;
}

function isOfJournal(turn: TurnSource, life: string | undefined): boolean {
  return life === recordLife(turn) || life === outcomeLife(turn);
}

/** Yields the output in the record. Returns whether the record has the turn. */
async function* shownInRecord(
  turn: TurnSource,
  reads: RecordReads,
): AsyncGenerator<readonly Shown[], boolean, undefined> {
  const output = recordedOutput(turn, reads);
  for (;;) {
    const { done, value } = await output.next();
    if (done) return value;
    const piece = pieceOf(value.event);
    if (piece === undefined) continue;
    const { attempt, number } = value;
    yield [{ position: { life: recordLife(turn), attempt, number }, pieces: [piece] }];
  }
}

function pieceOf(event: OutputEvent): ShownPiece | undefined {
  switch (event.type) {
    case "text":
    case "thinking":
      return { type: event.type, text: event.text };
    case "tool_use": {
      const { type, id, name, input, parent } = event;
      return { type, id, name, input, ...(parent === undefined ? {} : { parentToolUseId: parent }) };
    }
    case "lost":
      return event;
    case "tool_result":
      return undefined;
  }
}

/** Yields what the journal has of a turn that is not in the record. */
async function* shownInOutcome(turn: TurnSource): AsyncGenerator<readonly Shown[], void, undefined> {
  await turn.result.catch(() => {});
  const { attempts: attempt, shown = [] } = turn;
  const life = outcomeLife(turn);
  if (shown.length > 0) yield shown.map((piece, number) => ({ position: { life, attempt, number }, pieces: [piece] }));
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
  reads: RecordReads,
  lost: () => CastellanError<"EVENTS_LOST">,
): AsyncGenerator<readonly TriedPiece[], void, undefined> {
  let given: "messages" | "journal" | undefined;
  for await (const batch of shownBy(turn, reads)) {
    const from = isOfJournal(turn, batch[0]?.position.life) ? "journal" : "messages";
    if (given === "messages" && from === "journal") throw lost();
    given = from;
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
