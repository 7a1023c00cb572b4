import { CastellanError } from "../../src/errors.ts";
import type { Reply } from "../../src/session/streams/reply.ts";
import type { TurnRecord } from "../../src/session/streams/turn-record.ts";
import type { TurnSource } from "../../src/session/streams/turn-source.ts";
import type { TurnState } from "../../src/session/streams/turn-state.ts";

/**
 * A turn as a session host shows it to its node: its result settles once it is written. If it cannot be written it
 * rejects, since the next owner decides the result.
 */
export class SimulatedTurn implements TurnSource {
  readonly result: Promise<Reply>;
  readonly #record: TurnRecord;
  readonly #unwritten: PromiseWithResolvers<never> = Promise.withResolvers();
  #written: Promise<void> = Promise.resolve();
  #left = false;

  constructor(record: TurnRecord) {
    this.#record = record;
    this.#unwritten.promise.catch(() => {});
    this.result = Promise.race([this.#unwritten.promise, this.#settled()]);
    this.result.catch(() => {});
  }

  get id(): string {
    return this.#record.id;
  }

  get state(): TurnState {
    return this.#record.state;
  }

  get origin(): TurnRecord["origin"] {
    return this.#record.origin;
  }

  get by(): TurnRecord["by"] {
    return this.#record.by;
  }

  get metadata(): TurnRecord["metadata"] {
    return this.#record.metadata;
  }

  get promptId(): string | undefined {
    return this.#record.promptId;
  }

  get continues(): boolean {
    return this.#record.continues;
  }

  get recalled(): boolean {
    return this.#record.recalled;
  }

  get touched(): boolean {
    return this.#record.touched;
  }

  get attempts(): number {
    return this.#record.attempts;
  }

  get accepted(): Promise<void> {
    return this.#record.accepted;
  }

  get left(): boolean {
    return this.#left || this.#record.left;
  }

  get log(): TurnRecord["log"] {
    return this.#record.log;
  }

  /** Resolves once the result is written. @throws CastellanError `NOT_OWNER` if it cannot be */
  get written(): Promise<void> {
    return this.#written;
  }

  get shown(): TurnRecord["shown"] {
    return this.#record.shown;
  }

  get life(): string {
    return this.#record.life;
  }

  positionOf(number: number): ReturnType<TurnRecord["positionOf"]> {
    return this.#record.positionOf(number);
  }

  /** Follows the write of the result. */
  ending(written: Promise<void>): void {
    this.#written = written;
    written.catch((error: unknown) => {
      this.#left = true;
      const lost = CastellanError.is(error) ? error : new CastellanError("NOT_OWNER", String(error));
      this.#unwritten.reject(lost);
      this.#record.log.end(lost);
    });
  }

  async #settled(): Promise<Reply> {
    try {
      return await this.#record.result;
    } catch (error) {
      await this.#written;
      throw error;
    }
  }
}
