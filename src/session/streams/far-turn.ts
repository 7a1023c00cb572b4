import type { TurnCalls } from "./turn.ts";
import type { TurnSource } from "./turn-source.ts";

/** A turn that another application has, and its calls. */
export interface FarTurn {
  readonly source: TurnSource;
  readonly calls: TurnCalls;
}
