import { CastellanError } from "../errors.ts";
import { formatName } from "../names.ts";
import { type Prompt, promptText } from "./options/prompt.ts";
import { checkSteer, type SteerOptions } from "./options/steer-options.ts";
import { type TurnOptions, turnSettings } from "./options/turn-options.ts";
import { invalidOptions } from "./options/validation.ts";
import type { SessionServer } from "./session-server.ts";
import type { TurnRecord } from "./streams/turn-record.ts";

/** What holds of a turn besides its options. */
interface Terms {
  readonly durable?: boolean;
}

/** A turn that has the prompt. `accepted` resolves once the journal has the prompt. */
interface Submitted {
  readonly record: TurnRecord;
  readonly accepted: Promise<void>;
}

/**
 * Accepts a turn, or, with `whenBusy: "steer"`, gives its text to the running turn and returns that.
 *
 * @throws CastellanError as {@link SessionServer.submit}
 */
export function submitOrSteer<Structured>(
  server: SessionServer,
  prompt: Prompt,
  options: TurnOptions<Structured>,
  terms: Terms = {},
): Submitted {
  const mayBeSteered = (options?.whenBusy ?? server.settings.whenBusy) === "steer";
  const target = mayBeSteered ? server.steering.target : undefined;
  if (target === undefined) return submitted(server, prompt, options, terms);
  const { idempotencyKey, verbatimPrompts, by } = turnSettings(options, server.settings);
  const isText = typeof prompt === "string" && (verbatimPrompts || !prompt.startsWith("/"));
  if (idempotencyKey !== undefined || !isText) return submitted(server, prompt, options, terms);
  promptText(prompt, verbatimPrompts, `session ${formatName(server.settings.name)}`);
  const accepted = server.steering.steer(target, prompt, by);
  // A caller that does not wait for it reads the turn.
  accepted.catch(() => {});
  return { record: target, accepted };
}

function submitted<Structured>(
  server: SessionServer,
  prompt: Prompt,
  options: TurnOptions<Structured>,
  terms: Terms,
): Submitted {
  const record = server.submit(prompt, options, terms);
  return { record, accepted: record.accepted };
}

/**
 * Gives a message to a turn. Returns the turn that has it: the given one, or a new one if that takes none and the options
 * say so. Resolves once the journal has the message.
 *
 * @param isLent whether the session belongs to a pool, so that a new turn could be another borrower's
 * @throws CastellanError `STEER_REFUSED`, `INVALID_OPTIONS`; why the turn, or the new one, was not accepted
 */
export async function steerTurn(
  server: SessionServer,
  record: TurnRecord,
  text: string,
  options: SteerOptions,
  { isLent = false }: { readonly isLent?: boolean } = {},
): Promise<TurnRecord> {
  const who = `session ${formatName(server.settings.name)}`;
  const { by, afterEnd } = checkSteer(text, options, who);
  if (isLent && afterEnd === "enqueue") {
    const message =
      "would give the message to the member's next borrower; send it to the pool, or to the loan's session";
    throw invalidOptions(`message to a turn of ${who}`, [{ field: "afterEnd", message }]);
  }
  // A turn that was not accepted says why.
  if (record.state === "accepted") await record.accepted;
  try {
    await server.steering.steer(record, text, by);
    return record;
  } catch (error) {
    if (!CastellanError.is(error, "STEER_REFUSED") || afterEnd !== "enqueue") throw error;
    const next = server.submit(text, by === undefined ? {} : { by }, { durable: true });
    await next.accepted;
    return next;
  }
}
