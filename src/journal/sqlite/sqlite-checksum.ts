import type { SQLOutputValue } from "node:sqlite";
import { crc32 } from "node:zlib";

/** A stored column value. */
type Stored = SQLOutputValue | Uint8Array | undefined;

/**
 * Returns a function that computes the checksum of a row: SQLite has none, and returns a text with a flipped bit
 * without an error. The worker thread receives the source of this function, so it may use only its parameters.
 *
 * A single changed value always changes the checksum, since each step is reversible; several changed values can
 * collide.
 */
export function checksumming(crc: typeof crc32): (...values: readonly Stored[]) => number {
  /** Longer texts go through `crc`, which is faster per character and slower per call. */
  const SHORT = 128;
  const number = new Float64Array(1);
  const halves = new Uint32Array(number.buffer);

  return (...values) => {
    let sum = 0x811c9dc5;
    const mix = (bits: number): void => {
      sum = Math.imul(sum ^ bits, 0x01000193);
    };
    for (const value of values) {
      if (value === null) mix(1);
      else if (typeof value === "number") {
        // SQLite stores -0 as 0.
        number[0] = value + 0;
        for (const half of halves) mix(half);
      } else if (value instanceof Uint8Array) {
        mix(value.length);
        mix(crc(value));
      } else {
        const text = String(value);
        mix(text.length);
        if (text.length > SHORT) mix(crc(text));
        else for (let at = 0; at < text.length; at += 1) mix(text.charCodeAt(at));
      }
    }
    return sum >>> 0;
  };
}

export const checksumOf: (...values: readonly Stored[]) => number = checksumming(crc32);

/** What has a checksum. A session and a turn have more than one: a turn's input can be long and
 * never changes, and most have neither description nor details. */
export type Checked =
  | "sessions"
  | "description"
  | "accepted"
  | "details"
  | "asker"
  | "progress"
  | "approvals"
  | "jobs"
  | "deliveries"
  | "conversations"
  | "spending"
  | "spending_turns"
  | "event_logs"
  | "events"
  | "contents"
  | "transcripts"
  | "transcript_parts";

/** The columns of each checksum, in order. */
const CHECKED: { readonly [Of in Checked]: readonly string[] } = {
  sessions: ["key", "supervisor", "conversation_id", "memory", "saved_at"],
  description: ["key", "created_at", "title", "labels", "archived_at", "description_memory"],
  accepted: ["id", "session", "prompt", "prompt_kind", "durable", "timeout_ms", "queue_timeout_ms", "accepted_at"],
  details: ["id", "origin", "metadata"],
  asker: ["id", "asked_by"],
  progress: ["id", "position", "state", "attempts", "prompt_id", "touched", "ended_at", "outcome"],
  approvals: ["id", "session", "tool", "input", "requested_at", "outcome", "settled_at"],
  jobs: ["id", "session", "prompt", "prompt_kind", "due_at", "created_at", "terms"],
  deliveries: ["session", "endpoint", "supervisor", "after_number", "at"],
  conversations: ["session", "conversation_id", "memory", "left_at"],
  spending: [
    "supervisor",
    "session",
    "model",
    "day",
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
  ],
  spending_turns: ["supervisor", "session", "model", "day", "turns"],
  event_logs: ["id", "session", "pruned_number", "pruned_offset"],
  events: ["log", "first", "last", "earliest", "latest", "turn", "types", "end_offset", "body"],
  contents: ["hash", "media_type", "data"],
  transcripts: ["conversation_id", "subpath", "session"],
  transcript_parts: ["transcript", "number", "last_uuid", "lines"],
};

/** The last column of these can be long; its checksum stands for it in the checksum of the row. */
const LAST_IS_LONG: { readonly [Of in Checked]?: string } = {
  progress: "outcome",
  events: "body",
  transcript_parts: "lines",
};

/** Columns of a checksum that the table has in another form. */
const COMPUTED: { readonly [Of in Checked]?: { readonly [column: string]: string } } = {
  transcript_parts: { transcript: "position >> 32", number: "position & 4294967295" },
};

/** The checksum of no outcome, in the checksum of a turn. */
export const NO_OUTCOME: number = checksumOf(null);

/** Returns the checksum that the row should have. */
export function expectedOf(of: Checked, row: { readonly [column: string]: Stored }): number {
  const values = CHECKED[of].map((column) => row[column]);
  return LAST_IS_LONG[of] === undefined
    ? checksumOf(...values)
    : checksumOf(...values.slice(0, -1), checksumOf(values.at(-1)));
}

/** Returns the SQL of a checksum. `instead` replaces columns by expressions. */
export function checksumIn(of: Checked, instead: { readonly [column: string]: string } = {}): string {
  const long = LAST_IS_LONG[of];
  const whole: typeof instead = { ...COMPUTED[of], ...(long && { [long]: `row_checksum(${long})` }), ...instead };
  return `row_checksum(${CHECKED[of].map((column) => whole[column] ?? column).join(", ")})`;
}

/** Returns the SQL that updates a checksum unread: a damaged row stays damaged. */
export function renewedIn(of: Checked, instead: { readonly [column: string]: string }, checksum = "checksum"): string {
  return `CASE ${checksum} WHEN ${checksumIn(of)} THEN ${checksumIn(of, instead)} END`;
}
