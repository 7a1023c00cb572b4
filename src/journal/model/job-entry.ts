import type { JsonObject } from "./session-entry.ts";
import type { StoredPromptKind } from "./turn-entry.ts";

/** A prompt that waits outside of any session, and becomes a turn later: of a member of a pool, or of a session. */
export interface JobEntry {
  /** Unique among jobs. */
  readonly id: string;
  /** Canonical name of the session or the pool. */
  readonly session: string;
  readonly prompt: string;
  /** Default `"text"`. */
  readonly promptKind?: StoredPromptKind;
  /** When it may become a turn, in milliseconds since the epoch. */
  readonly dueAt: number;
  /** In milliseconds since the epoch. */
  readonly createdAt: number;
  /** Its options. Opaque JSON. */
  readonly terms: JsonObject;
}
