import type { Capacity } from "../../capacity/capacity.ts";
import type { MemoryWatch } from "../../capacity/memory-watch.ts";
import type { Spares } from "../../capacity/spares.ts";
import type { TurnLine } from "../../capacity/turn-limiter.ts";
import type { StartActivation } from "../../claude/activation.ts";

/** What all sessions of a supervisor share for their processes. */
export interface SharedResources {
  readonly capacity: Capacity;
  readonly memory: MemoryWatch;
  readonly spares: Spares;
  readonly turns: TurnLine;
  readonly startActivation: StartActivation;
  /** Reports that an option of a session has no effect or a surprising one. */
  advise(who: string, advice: string): void;
  /** Reports that the API refuses the key with this digest, and that another key is available. */
  keyRefused(credentials: string): void;
}
