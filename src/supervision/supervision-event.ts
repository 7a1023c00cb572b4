import type { ChildExit } from "./child-spec.ts";

/** What a supervisor tells of its work. `id` is the child's. */
export type SupervisionEvent =
  /** A child is up. `restarts` is 0 for one that was started anew. */
  | { readonly type: "started"; readonly id: string; readonly restarts: number }
  /** A running child ended without being asked to. */
  | { readonly type: "exited"; readonly id: string; readonly exit: ChildExit }
  /** A child will be started again in `delay` milliseconds, as restart number `attempt` of its series of crashes. */
  | { readonly type: "restarting"; readonly id: string; readonly delay: number; readonly attempt: number }
  /** A child did not come up. */
  | { readonly type: "start_failed"; readonly id: string; readonly exit: ChildExit }
  /** A child was set aside; `exit` is the last of its exits. */
  | { readonly type: "quarantined"; readonly id: string; readonly exit: ChildExit }
  /** A child was stopped by the supervisor. `error` is what its `stop` rejected with, if it did. */
  | { readonly type: "terminated"; readonly id: string; readonly error?: unknown }
  /** The supervisor gave up because of this child and ends with all its children. */
  | { readonly type: "escalated"; readonly id: string; readonly exit: ChildExit }
  /** The supervisor ends because of this significant child. */
  | { readonly type: "auto_shutdown"; readonly id: string; readonly exit: ChildExit };
