import type { RefusedKey } from "./session-key.ts";
import type { CapacityLack } from "./turn-errors.ts";

/** What the turns of a session have to know of its process. */
export interface ProcessOutlook {
  /** Whether there is no process because none was wanted, or soon will be none. */
  readonly asleep: boolean;
  /** What keeps the session from having a process, if that is room. */
  readonly lack: CapacityLack | undefined;
  /** The account that turns are on, as a digest; empty if that is of no interest. */
  readonly account: string;
  /** What is known of the key of the process, if the API refuses it. */
  readonly key: { readonly refusal: RefusedKey };
}
