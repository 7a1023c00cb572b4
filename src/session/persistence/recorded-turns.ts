import { z } from "zod";
import { withoutUndefined } from "../../fields.ts";
import { isDamage } from "../../journal/model/journal-errors.ts";
import type { TurnEntry } from "../../journal/model/turn-entry.ts";
import type { PromptText } from "../options/prompt.ts";
import { EVENT_VERSION, type RecordedEvent } from "../record/session-event-types.ts";
import { smallPartOf } from "./stored-prompt.ts";
import { acceptedBefore } from "./turn-events.ts";

type EventOf<Type extends RecordedEvent["type"]> = Extract<RecordedEvent, { readonly type: Type }>;

/** How to read the turns of a session. Both fail with `JOURNAL_UNAVAILABLE`. */
interface Turns {
  findWritten(turn: string): Promise<TurnEntry | undefined>;
  promptOf(turn: TurnEntry): Promise<PromptText>;
}

const outcomeSchema = z.object({
  reply: z
    .object({ stopReason: z.string().nullish(), costUsd: z.number().optional(), model: z.string().optional() })
    .optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});

/** Makes events of turns whose own events are gone, from what the journal has of the turns. */
export class RecordedTurns {
  readonly #turns: Turns;

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  /** Returns the acceptance of a turn, or undefined if the turn is gone too. */
  async accepted(id: string, number: number): Promise<EventOf<"turn_accepted"> | undefined> {
    const turn = await this.#turns.findWritten(id);
    if (turn === undefined) return undefined;
    const { acceptedAt: at, origin = "caller" } = turn;
    const envelope = { v: EVENT_VERSION, number, at };
    if (origin !== "caller") return { ...envelope, type: "turn_accepted", turnId: id, origin };
    const prompt = await this.#turns.promptOf(turn).catch((error: unknown) => {
      if (!isDamage(error)) throw error;
      return smallPartOf(turn);
    });
    const { draft } = acceptedBefore(turn, prompt);
    return draft.type === "turn_accepted" ? { ...draft, ...envelope } : undefined;
  }

  /** Returns the end of a turn, or undefined if the turn has not ended, or is gone too. */
  async ended(id: string, number: number): Promise<EventOf<"turn_ended"> | undefined> {
    const turn = await this.#turns.findWritten(id);
    if (turn === undefined || turn.state === "queued" || turn.state === "running") return undefined;
    const { state, endedAt: at = turn.acceptedAt } = turn;
    const { reply, error } = outcomeSchema.safeParse(turn.outcome ?? {}).data ?? {};
    const rest = withoutUndefined({
      error,
      stopReason: reply?.stopReason,
      costUsd: reply?.costUsd,
      model: reply?.model,
    });
    return { v: EVENT_VERSION, number, at, type: "turn_ended", turnId: id, state, ...rest };
  }
}
