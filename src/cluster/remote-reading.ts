import type { Clock } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import { formatName, nameOfKey } from "../names.ts";
import type { EventOptions } from "../session/record/event-readers.ts";
import type { SessionEvent } from "../session/record/session-event-types.ts";
import { Unreachable } from "./protocol/transport.ts";

/** A reader of a session's events over the nodes that own the session one after the other. */
export class RemoteReading {
  readonly #options: EventOptions;
  readonly #clock: Clock;
  readonly #patienceMs: number;
  /** When a reader of recorded events gives up, on the monotonic clock. */
  #until: number;
  #after: number | undefined;
  #hasEnded = false;

  /** @param patienceMs how long to look for the session's node if the reader does not wait for events */
  constructor(options: EventOptions, clock: Clock, patienceMs: number) {
    this.#options = options;
    this.#clock = clock;
    this.#patienceMs = patienceMs;
    this.#until = clock.monotonic() + patienceMs;
    this.#after = options.after;
  }

  /** What to ask the next node for. The end of a turn is always asked for, because it also ends its reader. */
  get next(): EventOptions {
    const { types, turn } = this.#options;
    const after = this.#after === undefined ? {} : { after: this.#after };
    const wanted =
      types === undefined || turn === undefined ? {} : { types: [...new Set([...types, "turn_ended" as const])] };
    return { ...this.#options, ...wanted, ...after };
  }

  /** Whether no further events can follow a complete answer. */
  get isOver(): boolean {
    return this.#hasEnded || this.#options.live === false;
  }

  /** Records where the first node began. The next one must not begin later. */
  begins(after: number): void {
    this.#after ??= after;
  }

  /** Passes an event. Returns whether the reader wants it. */
  take(event: SessionEvent): boolean {
    const { types, turn } = this.#options;
    this.#until = this.#clock.monotonic() + this.#patienceMs;
    if (event.number !== undefined) this.#after = event.number;
    if (turn !== undefined && event.type === "turn_ended") this.#hasEnded = true;
    return types === undefined || types.includes(event.type);
  }

  /**
   * Handles an answer that was not complete, for this reason if it failed. Returns if another node may complete it.
   *
   * @throws CastellanError why not: `JOURNAL_UNAVAILABLE`, `INVALID_OPTIONS`; `CLUSTER_UNAVAILABLE`, `DATABASE_UNAVAILABLE` if the reader
   * does not wait for events and no node has answered for too long
   */
  failed(key: string, failure: unknown): void {
    const isOfTheNode = failure === undefined || failure instanceof Unreachable || CastellanError.is(failure);
    if (!isOfTheNode || isFinal(failure)) throw failure;
    if (this.#options.live !== false || this.#clock.monotonic() < this.#until) return;
    if (CastellanError.is(failure)) throw failure;
    const who = `global session ${formatName(nameOfKey(key))}`;
    const message = `${who}: no node returned its events for ${formatDuration(this.#patienceMs)}.`;
    throw new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "unreachable" }, cause: failure });
  }
}

/** Whether every node would fail in the same way. */
function isFinal(error: unknown): boolean {
  const isDamage = CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details.reason === "damaged";
  return isDamage || CastellanError.is(error, "INVALID_OPTIONS");
}
