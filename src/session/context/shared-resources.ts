import type { Capacity } from "../../capacity/capacity.ts";
import type { MemoryWatch } from "../../capacity/memory-watch.ts";
import type { Spares } from "../../capacity/spares.ts";
import type { TurnLimiter } from "../../capacity/turn-limiter.ts";
import type { StartActivation } from "../../claude/activation.ts";

/** What all sessions of a supervisor share for their processes. */
export interface SharedResources {
  readonly capacity: Capacity;
  readonly memory: MemoryWatch;
  readonly spares: Spares;
  readonly turns: TurnLimiter;
  readonly startActivation: StartActivation;
  /** An option of a session does not do what it seems to do. */
  advise(who: string, advice: string): void;
  /** The API refuses what a process authenticates with, as a digest, and it would have something else by now. */
  keyRefused(credentials: string): void;
}
