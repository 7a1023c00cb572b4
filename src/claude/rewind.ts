import type { Query } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";

/**
 * The outcome of a rewind. `done`: the process has forgotten the prompt and everything after it. `absent`: it does not
 * know the prompt, or only from the summary of a compaction. `overtaken`: it works on something later, which would be
 * lost. `refused`: it cannot rewind.
 */
export type Rewound = "done" | "absent" | "overtaken" | "refused";

const answerSchema = z.object({
  response: z.object({ rewound: z.boolean(), reason: z.string().optional() }),
});

/** Claude Code's reasons for not rewinding; all others mean `refused`. */
const REASONS: ReadonlyMap<string | undefined, Rewound> = new Map([
  ["target_not_found", "absent"],
  ["turn_running", "overtaken"],
  ["unseen_later_turn", "overtaken"],
  ["stale_target", "overtaken"],
]);

/**
 * Makes a process forget a prompt and everything after it. Its background tasks continue. The transcript shows the
 * rewind only once something new is said, so the next process has to be told as well.
 */
export async function rewind(sdk: Query, promptId: string): Promise<Rewound> {
  if (!takesRequests(sdk)) return "refused";
  const answer = await sdk.request({
    subtype: "rewind_conversation",
    target_message_uuid: promptId,
    last_seen_user_message_uuid: promptId,
  });
  const { rewound, reason } = answerSchema.parse(answer).response;
  return rewound ? "done" : (REASONS.get(reason) ?? "refused");
}

/** A method that the SDK's types omit. */
interface TakesRequests {
  request(request: object): Promise<unknown>;
}

function takesRequests(sdk: Query): sdk is Query & TakesRequests {
  return "request" in sdk && typeof sdk.request === "function";
}
