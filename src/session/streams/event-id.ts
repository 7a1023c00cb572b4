/**
 * The position of an event in a turn. For a recalled turn, `life` is the turn's own id, and `number` counts the pieces
 * that the journal keeps.
 */
export interface EventPosition {
  /** Identifies the numbering: a turn that is resumed after a restart or on another node is numbered anew. */
  readonly life: string;
  /** The attempt of the turn, from 1. */
  readonly attempt: number;
  readonly number: number;
}

const FORM = /^(.+)\.(\d+)\.(\d+)$/;

/** Formats the id of the event at this position. */
export function eventId({ life, attempt, number }: EventPosition): string {
  return `${life}.${attempt}.${number}`;
}

/** Returns the position that an id encodes, or undefined. */
function positionIn(id: string): EventPosition | undefined {
  const [, life, attempt, number] = FORM.exec(id) ?? [];
  return life === undefined ? undefined : { life, attempt: Number(attempt), number: Number(number) };
}

/**
 * What to do with an event for a returning client: skip it (`seen`), send it (`next`), or send it after a `retry`
 * (`anew`).
 */
export type Admission = "seen" | "next" | "anew";

/**
 * Resumes the events for a client that returns with the id of the last event it has seen: sends what came after it, or,
 * if that event belongs to another life or attempt of the turn, a `retry` and everything.
 */
export class Resumption {
  /** The last event that the client has seen, until it receives another one. */
  #seen: EventPosition | undefined;
  /** The life and attempt that the client has events of. */
  #current: Pick<EventPosition, "life" | "attempt"> | undefined;
  /** Whether the client has events of the current life and attempt. */
  #known = false;

  /** An unknown id, such as one of an earlier release, counts as another life. */
  constructor(lastEventId: string | null | undefined) {
    if (lastEventId === null || lastEventId === undefined || lastEventId === "") return;
    this.#seen = positionIn(lastEventId);
    this.#current = this.#seen ?? { life: "", attempt: 0 };
  }

  /** Decides what to do with the event at this position; call it for all events, in order. */
  admit(position: EventPosition): Admission {
    const known = this.#current?.life === position.life && this.#current.attempt === position.attempt;
    this.#known ||= known;
    if (this.#seen?.life === position.life && position.number <= this.#seen.number) return "seen";
    const anew = this.#current !== undefined && !known;
    if (anew) this.#seen = undefined;
    this.#current = { life: position.life, attempt: position.attempt };
    this.#known = true;
    return anew ? "anew" : "next";
  }

  /**
   * Whether the client's events are void although nothing replaced them, at the end of a turn with this many attempts.
   * The events of the last attempt of a failed turn remain valid.
   */
  isVoid(attempts: number, completed: boolean): boolean {
    if (this.#current === undefined) return false;
    return this.#current.attempt < attempts || (completed && !this.#known);
  }
}
