import { NOTHING_SPENT } from "../../src/journal/model/spending.ts";
import type { Reply } from "../../src/session/streams/reply.ts";

/** A reply for tests that do not care about its turn. */
export function replyOf(fields: Partial<Reply> = {}): Reply {
  return {
    text: "Done.",
    ...NOTHING_SPENT,
    models: [],
    sessionId: "s",
    turnId: "turn",
    stopReason: "end_turn",
    durationMs: 1,
    ...fields,
  };
}
