import type { Activation } from "../claude/activation.ts";
import type { ExitRecord } from "../errors.ts";

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

/** What the parts of a session tell its core, which decides what follows. */
export type SessionSignal = ProcessSignal;

export type Signal = (signal: SessionSignal) => void;
