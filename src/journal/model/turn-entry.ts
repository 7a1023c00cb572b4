import type { TurnOrigin } from "../../events.ts";
import type { JsonObject } from "./session-entry.ts";

/** State of an accepted turn. */
export type TurnEntryState = "queued" | "running" | EndedTurnState;

/** How a turn can end. */
export type EndedTurnState = "completed" | "failed" | "interrupted" | "cancelled" | "timed_out";

/**
 * How Claude Code takes the prompt: `text` verbatim, `command` as a command with arguments, `typed` as if typed, with
 * commands and file references expanded. An unknown value counts as `text`.
 */
export type PromptKind = "text" | "command" | "typed";

/** As {@link PromptKind}; `…_json`: the prompt is JSON, either content blocks or a text. */
export type StoredPromptKind = PromptKind | `${PromptKind}_json`;

/** A turn as it is accepted. */
export interface AcceptedTurn {
  /** Unique in the journal. */
  readonly id: string;
  /** Canonical name of the session. */
  readonly session: string;
  /** Opaque to the journal. */
  readonly prompt: string;
  /** Default `"text"`. */
  readonly promptKind?: StoredPromptKind;
  /** Position among the queued turns of the session; the lowest runs first. */
  readonly position: number;
  /** Whether a caller was told that the turn is on disk, and will come back for it. */
  readonly durable: boolean;
  /** The turn's `timeout` and `queueTimeout`, in milliseconds. */
  readonly timeoutMs?: number;
  readonly queueTimeoutMs?: number;
  /** In milliseconds since the epoch. */
  readonly acceptedAt: number;
  /** Who began the turn. Default `"caller"`. */
  readonly origin?: TurnOrigin;
  /** Who asked, as the caller says. */
  readonly by?: string;
  /** The caller's own data. Opaque JSON. */
  readonly metadata?: JsonObject;
}

/** A turn and its state. */
export interface TurnEntry extends AcceptedTurn {
  readonly state: TurnEntryState;
  /** How often the turn was given to a process. */
  readonly attempts: number;
  /** Id of the prompt in the transcript, in the last attempt. */
  readonly promptId?: string;
  /** Whether Claude had begun to answer or act in the last attempt. */
  readonly touched: boolean;
  /** In milliseconds since the epoch. */
  readonly endedAt?: number;
  /** The reply or error. Opaque JSON. */
  readonly outcome?: JsonObject;
}

/** Which turns of a session to return, the last accepted first. */
export interface TurnQuery {
  /** Canonical name of the session, or of several, whose turns form one list. */
  readonly session: string | readonly string[];
  /** Only turns in these states. */
  readonly states?: readonly TurnEntryState[];
  /** Only turns that were accepted before the turn with this id; none if the sessions have no such turn. */
  readonly before?: string;
  /** How many turns to return at most, up to 1,000. */
  readonly limit: number;
}

const MOST_TURNS = 1_000;
const UNFINISHED: ReadonlySet<TurnEntryState> = new Set(["queued", "running"]);

/** Returns the limit of a query, within that of a page. */
export function turnLimitOf({ limit }: TurnQuery): number {
  return Math.max(0, Math.min(limit, MOST_TURNS));
}

/** Whether a query asks only for turns that have not ended, which few are. */
export function isOfUnfinished({ states }: TurnQuery): boolean {
  return states?.every((state) => UNFINISHED.has(state)) === true;
}
