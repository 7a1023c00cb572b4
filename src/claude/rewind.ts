import type { Query } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";

/**
 * What has become of the wish that a process forgets a prompt, and all that followed on it. `done`: it has. `absent`: it does not
 * know of the prompt, or only by the summary of a compaction. `overtaken`: it works on something that came later, which would
 * be lost. `refused`: it cannot.
 */
export type Rewound = "done" | "absent" | "overtaken" | "refused";

const answerSchema = z.object({
  response: z.object({ rewound: z.boolean(), reason: z.string().optional() }),
});

/** Why Claude Code does not do it, and what that means; all other reasons are refusals. */
const REASONS: ReadonlyMap<string | undefined, Rewound> = new Map([
  ["target_not_found", "absent"],
  ["turn_running", "overtaken"],
  ["unseen_later_turn", "overtaken"],
  ["stale_target", "overtaken"],
]);

/**
 * Has the process forget a prompt, and all that followed on it. Its background tasks go on. The transcript knows of it only when
 * something new is said, so that the next process has to be told too.
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

/** The SDK's types leave it out. */
interface TakesRequests {
  request(request: object): Promise<unknown>;
}

function takesRequests(sdk: Query): sdk is Query & TakesRequests {
  return "request" in sdk && typeof sdk.request === "function";
}
