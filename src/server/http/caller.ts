import type { SessionName } from "../../names.ts";

/**
 * What a caller may do. `read`: see sessions, turns, events, health; `talk`: send prompts and interrupt own turns;
 * `approve`: answer permission requests; `operate`: create, restart, stop, delete, drain.
 */
export type Scope = "read" | "talk" | "approve" | "operate";

/** All scopes. */
export const SCOPES: readonly Scope[] = ["read", "talk", "approve", "operate"];

/** Who makes a request, and what they may touch. Made once per request. */
export interface Caller {
  /** The token's id, or what the application's own authentication says. Goes into `by` of turns and approvals. */
  readonly id: string;
  readonly scopes: ReadonlySet<Scope>;
  /** The caller reaches only names that begin so; undefined for all. */
  readonly prefix?: SessionName;
  /** The caller reaches only sessions with these labels; undefined for all. */
  readonly labels?: Readonly<Record<string, string>>;
}
