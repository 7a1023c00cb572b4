import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { ShownPiece } from "../../claude/messages/shown.ts";
import type { EventPlace } from "./event-id.ts";
import type { Reply } from "./reply.ts";
import type { TurnState } from "./turn-state.ts";

/** What a turn shows to callers. */
export interface TurnSource {
  readonly id: string;
  readonly state: TurnState;
  readonly recalled: boolean;
  /** What is known of what it has shown, if it was recalled and it is known how it ended. */
  readonly shown: readonly ShownPiece[] | undefined;
  /** Whose numbers the messages have that come next, if that is known. */
  readonly life: string | undefined;
  readonly touched: boolean;
  readonly attempts: number;
  readonly result: Promise<Reply>;
  /** Resolves when it is in the journal; rejects if it could not be accepted, or ended before. */
  readonly accepted: Promise<void>;
  /** Whether it has ended only here, and goes on elsewhere or later. */
  readonly left: boolean;
  readonly log: { batches(from?: number): AsyncIterable<readonly SDKMessage[]> };
  /** Where the message with this number stands. */
  placeOf(number: number): EventPlace;
}
