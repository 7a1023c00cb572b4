import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { CastellanError } from "../errors.ts";

/** How many messages of one turn are kept for readers. */
const KEPT = 131_072;

/** A message of a turn and its number, which counts from 0. */
export interface NumberedMessage {
  readonly number: number;
  readonly message: SDKMessage;
}

/**
 * The messages of one turn, numbered and bounded. Any number of readers can attach, at any number and at any time, also
 * after the end; none of them holds up the turn or another reader.
 */
export class TurnLog {
  readonly #who: string;
  /** The messages that are kept; the first of them has number `#first`. Those before `#oldest` are as good as gone. */
  readonly #kept: SDKMessage[] = [];
  #first = 0;
  #oldest = 0;
  #end: { readonly error?: Error } | undefined;
  #more: PromiseWithResolvers<void> | undefined;

  /** `who` is the turn, for messages. */
  constructor(who: string) {
    this.#who = who;
  }

  /** The number that the next message will have. */
  get length(): number {
    return this.#first + this.#kept.length;
  }

  append(message: SDKMessage): void {
    this.#kept.push(message);
    this.#oldest = Math.max(this.#oldest, this.length - KEPT);
    // Dropped in large pieces, so that a long turn costs the same for each message.
    if (this.#oldest - this.#first >= KEPT) {
      this.#kept.splice(0, this.#oldest - this.#first);
      this.#first = this.#oldest;
    }
    this.#wake();
  }

  /** Ends the log: readers finish, or fail with `error`. */
  end(error?: Error): void {
    this.#end ??= error === undefined ? {} : { error };
    this.#wake();
  }

  /**
   * Reads from number `from` on, and waits for what is still to come.
   *
   * @throws CastellanError `EVENTS_LOST` if the message to be read next is no longer kept; whatever ended the log.
   */
  async *read(from = 0): AsyncGenerator<NumberedMessage, void, undefined> {
    for (let number = from; ; number++) {
      while (number >= this.length) {
        if (this.#end?.error !== undefined) throw this.#end.error;
        if (this.#end !== undefined) return;
        this.#more ??= Promise.withResolvers();
        await this.#more.promise;
      }
      const message = number < this.#oldest ? undefined : this.#kept[number - this.#first];
      if (message === undefined) throw this.#lost(number);
      yield { number, message };
    }
  }

  #wake(): void {
    this.#more?.resolve();
    this.#more = undefined;
  }

  #lost(number: number): CastellanError<"EVENTS_LOST"> {
    const message = `${this.#who}: message ${number} is no longer kept; read faster, or from number ${this.#oldest} on.`;
    return new CastellanError("EVENTS_LOST", message, { details: { oldest: this.#oldest } });
  }
}
