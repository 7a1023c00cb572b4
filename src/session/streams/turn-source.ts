import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { ShownPiece } from "../../claude/messages/shown.ts";
import type { TurnOrigin } from "../../events.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { EventPosition } from "./event-id.ts";
import type { Reply } from "./reply.ts";
import type { TurnState } from "./turn-state.ts";

/** What a turn shows to callers. */
export interface TurnSource {
  readonly id: string;
  readonly state: TurnState;
  readonly origin: TurnOrigin;
  /** Who asked, if the caller said so. */
  readonly by: string | undefined;
  /** The caller's own data, if there is any. */
  readonly metadata: JsonObject | undefined;
  /** Id of the prompt in the last attempt, once it is known. */
  readonly promptId: string | undefined;
  readonly recalled: boolean;
  /** The known output of a recalled turn, once its outcome is known. */
  readonly shown: readonly ShownPiece[] | undefined;
  /** Identifies the numbering of the next messages, if known. */
  readonly life: string | undefined;
  readonly touched: boolean;
  readonly attempts: number;
  readonly result: Promise<Reply>;
  /** Resolves once it is in the journal; rejects if it was not accepted, or ended earlier. */
  readonly accepted: Promise<void>;
  /** Whether it has ended only here, and continues elsewhere or later. */
  readonly left: boolean;
  /** Whether it has, and its id finds it once the application has started again, or on another node. */
  readonly continues: boolean;
  readonly log: { batches(from?: number): AsyncIterable<readonly SDKMessage[]> };
  /** Returns the position of the message with this number. */
  positionOf(number: number): EventPosition;
}
