import { timed } from "./rounds.ts";

/** The times of answers. */
export interface AnswerTimes {
  /** The time of all prompts, in milliseconds. */
  readonly ms: number;
  /** The number of text deltas that arrived. */
  readonly deltas: number;
  /** The milliseconds from each prompt to the first delta of its answer. */
  readonly firstMs: readonly number[];
}

/** An open stream of a session's text deltas and ends of turns, and a way to send the session a prompt. */
export class Answers {
  readonly #events: AsyncIterator<{ readonly type: string }>;
  readonly #ask: (prompt: string) => Promise<unknown>;

  private constructor(events: AsyncIterable<{ readonly type: string }>, ask: (prompt: string) => Promise<unknown>) {
    this.#events = events[Symbol.asyncIterator]();
    this.#ask = ask;
  }

  /**
   * Resolves once the stream is open.
   *
   * @param events of a session that has had no turn, including ends of turns before the stream was open
   */
  static async open(
    events: AsyncIterable<{ readonly type: string }>,
    ask: (prompt: string) => Promise<unknown>,
  ): Promise<Answers> {
    const answers = new Answers(events, ask);
    await Promise.all([ask("Hello"), answers.#until("turn_ended")]);
    return answers;
  }

  /** Sends prompts one after the other, and reads the answer of each. */
  async readAll(prompts: readonly string[]): Promise<AnswerTimes> {
    const firstMs: number[] = [];
    let deltas = 0;
    const ms = await timed(async () => {
      for (const prompt of prompts) {
        const answer = await this.read(prompt);
        firstMs.push(answer.firstMs);
        deltas += answer.deltas;
      }
    });
    return { ms, deltas, firstMs };
  }

  /**
   * Sends a prompt. Resolves at the end of its turn with the number of its deltas and the milliseconds until the first one. The stream
   * may skip deltas, also all of them.
   */
  async read(prompt: string): Promise<{ readonly deltas: number; readonly firstMs: number }> {
    const since = performance.now();
    const asked = this.#ask(prompt);
    let firstMs = Number.NaN;
    const deltas = await this.#until("turn_ended", () => {
      firstMs = performance.now() - since;
    });
    await asked;
    return { deltas, firstMs };
  }

  /** Reads until an event of this type. Resolves with the number of events before it. */
  async #until(wanted: string, first?: () => void): Promise<number> {
    for (let count = 0; ; count++) {
      const { done, value } = await this.#events.next();
      if (done === true) throw new Error(`the stream ended before ${wanted}`);
      if (value.type === wanted) return count;
      if (count === 0) first?.();
    }
  }
}
