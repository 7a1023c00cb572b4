import type { Activation } from "../../claude/activation.ts";
import type { ExitClass, ExitRecord } from "../../errors.ts";
import type { ModelSpending } from "../../journal/model/spending.ts";
import type { SessionState } from "../status/session-state.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";

/** Signals of the process. */
type ProcessSignal =
  /** A process is starting. */
  | { readonly type: "process_starting" }
  | { readonly type: "process_up"; readonly activation: Activation }
  /** The process is ending: to be replaced or to hibernate within its life, or together with its life. */
  | { readonly type: "process_ending"; readonly to: "replace" | "hibernate" | "stop" }
  | { readonly type: "process_gone"; readonly exit: ExitRecord }
  /** The life continues without a process. */
  | { readonly type: "hibernated" }
  /** The life ended. `exit` is the cause, unless the end was requested. */
  | { readonly type: "life_over"; readonly exit: ExitRecord | undefined };

/** Signals of the turns. */
type TurnSignal =
  /** The process works on a turn, a caller's or its own. */
  | { readonly type: "turn_started" }
  /** The process finished its turn and has no work of its own. */
  | { readonly type: "turn_ended" }
  /** A turn is about to end with an error for its caller. */
  | { readonly type: "turn_failed"; readonly turnId: string }
  /** The next turn may begin, if one waits. */
  | { readonly type: "next" }
  /** Claude Code began a turn by itself. */
  | { readonly type: "unprompted_began"; readonly turn: CurrentTurn }
  /** Claude Code's own work is over. `left` is a turn of it that got no result. */
  | { readonly type: "unprompted_done"; readonly left: CurrentTurn | undefined }
  | { readonly type: "spent"; readonly models: readonly ModelSpending[] }
  /** A hold began or ended. */
  | { readonly type: "held" }
  /** The process is idle, and no turn waits. */
  | { readonly type: "idle" }
  /** The session has no process; whether it needs one may have changed. */
  | { readonly type: "wanted" }
  /** The conversation was cut back. Only a new process can resume from there. */
  | { readonly type: "stale" }
  /** The conversation was cut back to the last successful turn, because the API rejects its content. */
  | { readonly type: "cut_back"; readonly why: string }
  /** The process cannot be used any further. */
  | { readonly type: "fault"; readonly fault: { readonly class: ExitClass; readonly message: string } };

/** Signals of the conversation. */
type ConversationSignal =
  /** The session switched conversations: to an empty one, or to a copy of the previous one. */
  | { readonly type: "conversation_moved"; readonly id: string; readonly change: "cleared" | "copied" }
  /** The session left a conversation, or a location of it, whose files may remain. */
  | { readonly type: "conversation_left" }
  /** The transcript lacks something the session knows of; `broken` if a part of it was never written. */
  | { readonly type: "conversation_behind"; readonly broken: boolean }
  /** The process continued in a conversation of another session, which is not allowed. */
  | { readonly type: "conversation_conflict"; readonly message: string }
  /** A turn ended with this message. */
  | { readonly type: "turn_kept"; readonly lastUuid: string };

/** The state that callers see changed. */
type ViewSignal = { readonly type: "shown"; readonly state: SessionState["name"] };

/** What the parts of a session report to its core, which decides what follows. */
export type SessionSignal = ProcessSignal | TurnSignal | ConversationSignal | ViewSignal;

export type Signal = (signal: SessionSignal) => void;
