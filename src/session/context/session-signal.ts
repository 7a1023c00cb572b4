import type { Activation } from "../../claude/activation.ts";
import type { ExitClass, ExitRecord } from "../../errors.ts";
import type { ModelSpending } from "../../journal/model/spending.ts";
import type { SessionState } from "../status/session-state.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import type { TurnRecord } from "../streams/turn-record.ts";

/** What the process of a session tells. */
type ProcessSignal =
  /** A process is being started. */
  | { readonly type: "process_starting" }
  | { readonly type: "process_up"; readonly activation: Activation }
  /** The process is being ended within its life: to be replaced, to hibernate, or with its life. */
  | { readonly type: "process_ending"; readonly to: "replace" | "hibernate" | "stop" }
  | { readonly type: "process_gone"; readonly exit: ExitRecord }
  /** The life goes on without a process. */
  | { readonly type: "hibernated" }
  /** The life is over. `exit` is why, if nobody asked for that. */
  | { readonly type: "life_over"; readonly exit: ExitRecord | undefined };

/** What the turns of a session tell. */
type TurnSignal =
  /** The process works, on a turn of a caller or by itself. */
  | { readonly type: "turn_started" }
  /** The process is done with its turn, and has nothing to do by itself either. */
  | { readonly type: "turn_ended" }
  /** The next turn may begin, if one waits. */
  | { readonly type: "next" }
  /** Claude Code has begun a turn by itself. */
  | { readonly type: "unprompted_began"; readonly turn: CurrentTurn }
  /** A turn that Claude Code began by itself is over. */
  | { readonly type: "unprompted_ended"; readonly record: TurnRecord }
  /** Claude Code has nothing to do by itself any more. `left` is a turn that had no result. */
  | { readonly type: "unprompted_rests"; readonly left: CurrentTurn | undefined }
  | { readonly type: "spent"; readonly models: readonly ModelSpending[] }
  /** Turns are held back, or no longer. */
  | { readonly type: "held" }
  /** The process has nothing to do, and nothing waits. */
  | { readonly type: "rests" }
  /** There is no process. One may be wanted from now on, or no longer. */
  | { readonly type: "wanted" }
  /** The conversation has been cut back, which only another process can take up. */
  | { readonly type: "stale" }
  /** The conversation has been cut back to the last turn that worked, because the API refuses what stands in it. */
  | { readonly type: "cut_back"; readonly why: string }
  /** The process is of no use as it is. */
  | { readonly type: "fault"; readonly fault: { readonly class: ExitClass; readonly message: string } };

/** What the conversation of a session tells. */
type ConversationSignal =
  /** The session is in another conversation than it was; `same` says that it goes on with what was said in the one before. */
  | { readonly type: "conversation_moved"; readonly id: string; readonly same: boolean }
  /** The session has left a conversation, or a place of it, of which something may still be there. */
  | { readonly type: "conversation_left" }
  /** What there is of the conversation is less than the session knew of; `broken` if a part of it was never written. */
  | { readonly type: "conversation_behind"; readonly broken: boolean }
  /** The process went on in a conversation that is another session's, and may not. */
  | { readonly type: "conversation_conflict"; readonly message: string }
  /** A turn has come to its end with this message. */
  | { readonly type: "turn_kept"; readonly lastUuid: string };

/** What callers see has changed. */
type ViewSignal = { readonly type: "shown"; readonly state: SessionState["name"] };

/** What the parts of a session tell its core, which decides what follows. */
export type SessionSignal = ProcessSignal | TurnSignal | ConversationSignal | ViewSignal;

export type Signal = (signal: SessionSignal) => void;
