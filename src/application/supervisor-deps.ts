import type { TurnLine } from "../capacity/turn-limiter.ts";
import type { StartActivation } from "../claude/activation.ts";
import type { MemoryReader } from "../claude/memory.ts";
import type { SessionDeps } from "../session/context/session-context.ts";
import type { Webhooks } from "../webhooks/webhooks.ts";

/** What a supervisor gets from outside, so that tests can replace it. */
export interface SupervisorDeps extends SessionDeps {
  /** Returns a number from 0 (inclusive) to 1 (exclusive), for jitter. */
  readonly random: () => number;
  /** Default: the kernel's figures. */
  readonly readMemory?: MemoryReader;
  /** Default: starts Claude Code. */
  readonly startActivation?: StartActivation;
  /** The limit of running turns that the supervisor shares with another one. Default: its own, from the option `capacity`. */
  readonly turns?: TurnLine;
  /** The endpoints that get the sessions' events; left out if there are none. */
  readonly webhooks?: Promise<Webhooks>;
}
