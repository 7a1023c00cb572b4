import { CastellanApiError, type SessionClient } from "../../client/index.ts";
import type { SessionInfo } from "../../wire/session.ts";
import { type Draft, draftProblem, EMPTY_DRAFT, promptOf } from "./prompt-draft.ts";
import { messageOf } from "./shown-name.ts";

/** What became of a prompt: an empty draft if it was accepted. */
export interface DeliveryOutcome {
  readonly draft: Draft;
  /** Why it was not accepted, or what the sender should know. */
  readonly problem: string | undefined;
}

/** How long the request of a prompt with images may take, in milliseconds. */
const UPLOAD_MS = 300_000;

/** Gives a session what somebody has written. */
export class Delivery {
  readonly #session: Pick<SessionClient, "enqueue" | "steer">;
  readonly #keep: (draft: Draft) => void;
  readonly #newKey: () => string;

  /** @param keep gets the draft with its key before it is sent, so that a reload in between sends the same turn again */
  constructor(
    session: Pick<SessionClient, "enqueue" | "steer">,
    keep: (draft: Draft) => void,
    newKey: () => string = randomKey,
  ) {
    this.#session = session;
    this.#keep = keep;
    this.#newKey = newKey;
  }

  /** Sends a draft, or gives its text to a turn. Never rejects. @param turn the turn to steer */
  async send(draft: Draft, turn: string | undefined): Promise<DeliveryOutcome> {
    const problem = draftProblem(draft);
    if (problem !== undefined) return { draft, problem };
    return turn === undefined ? await this.#enqueue(draft) : await this.#steer(draft, turn);
  }

  async #enqueue(draft: Draft): Promise<DeliveryOutcome> {
    const tried = { ...draft, key: draft.key ?? this.#newKey() };
    this.#keep(tried);
    try {
      const slow = draft.images.length > 0 ? { timeout: UPLOAD_MS } : {};
      await this.#session.enqueue(promptOf(draft), { idempotencyKey: tried.key, ...slow });
      return { draft: EMPTY_DRAFT, problem: undefined };
    } catch (error) {
      return { draft: tried, problem: `The prompt was not accepted: ${messageOf(error)}` };
    }
  }

  async #steer(draft: Draft, turn: string): Promise<DeliveryOutcome> {
    try {
      const { id } = await this.#session.steer(turn, { text: draft.text, afterEnd: "enqueue" });
      const problem = id === turn ? undefined : "The turn had ended, so the message is a turn of its own.";
      return { draft: EMPTY_DRAFT, problem };
    } catch (error) {
      // A message to a turn has no key, so that a second try may be a second message.
      const isUnknown = error instanceof CastellanApiError && error.status === 0;
      const what = isUnknown ? "It is not known whether the turn got the message" : "The turn did not get the message";
      return { draft, problem: `${what}: ${messageOf(error)}` };
    }
  }
}

function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns what somebody should know before they write a prompt, if anything. */
export function promptNote(session: Pick<SessionInfo, "state" | "status"> | undefined): string | undefined {
  switch (session?.state) {
    case undefined:
      return "This session has ended. A prompt brings it back only if a template makes it.";
    case "quarantined":
      return "This session is quarantined and takes no prompts until somebody restarts it.";
    case "stopped":
      return "This session is stopped and takes no prompts until its supervisor starts it again.";
    case "archived":
      return "This session is archived. A prompt ends that.";
    case "stored":
      return "This session is not in memory. A prompt brings it back if a template makes it.";
    default:
      return undefined;
  }
}
