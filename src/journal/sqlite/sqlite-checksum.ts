import type { SQLOutputValue } from "node:sqlite";
import { crc32 } from "node:zlib";

/** What is stored in one column of a row. */
type Stored = SQLOutputValue | undefined;

/**
 * Makes what computes the checksum of a row out of its values: SQLite has none, and takes what a flipped bit has made of a text for what was
 * written. The thread that writes takes its text: it may use nothing but its parameters.
 *
 * A value that differs always makes another checksum, since each step can be undone; only of several is it a matter of chance.
 */
export function checksumming(crc: typeof crc32): (...values: readonly Stored[]) => number {
  /** Longer texts are left to `crc`, which takes less for each character and more for each call. */
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
        // Of the two zeros SQLite stores one.
        number[0] = value + 0;
        for (const half of halves) mix(half);
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

/** What has a checksum. A turn has two, since what it was asked with may be long and stays. */
export type Checked = "sessions" | "accepted" | "progress" | "approvals" | "conversations" | "spending";

/** The columns whose values each checksum is of, in this order. */
const CHECKED: { readonly [Of in Checked]: readonly string[] } = {
  sessions: ["key", "supervisor", "conversation_id", "memory", "saved_at"],
  accepted: ["id", "session", "prompt", "prompt_kind", "durable", "timeout_ms", "queue_timeout_ms", "accepted_at"],
  progress: ["id", "position", "state", "attempts", "prompt_id", "touched", "ended_at", "outcome"],
  approvals: ["id", "session", "tool", "input", "requested_at", "outcome", "settled_at"],
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
};

/** That of an outcome, which may be long as well, goes into the checksum of a turn in the place of the outcome. */
export const NO_OUTCOME: number = checksumOf(null);

/** The checksum that a row has to have. */
export function expectedOf(of: Checked, row: { readonly [column: string]: Stored }): number {
  const values = CHECKED[of].map((column) => row[column]);
  return of === "progress" ? checksumOf(...values.slice(0, -1), checksumOf(values.at(-1))) : checksumOf(...values);
}

/** The checksum in SQL, by columns or what stands in their place. */
export function checksumIn(of: Checked, instead: { readonly [column: string]: string } = {}): string {
  const whole = of === "progress" ? { outcome: "row_checksum(outcome)", ...instead } : instead;
  return `row_checksum(${CHECKED[of].map((column) => whole[column] ?? column).join(", ")})`;
}

/** The same for a row that changes and is read by nobody before: one that is not what was written does not become so. */
export function renewedIn(of: Checked, instead: { readonly [column: string]: string }): string {
  return `CASE checksum WHEN ${checksumIn(of)} THEN ${checksumIn(of, instead)} END`;
}
