/**
 * Where something that a turn has shown stands. Of a turn that was recalled `life` is the turn's own id, and `number` counts the
 * pieces that the journal keeps.
 */
export interface EventPlace {
  /** Whose numbers these are: a turn that is taken up again, after a restart or on another node, is numbered anew. */
  readonly life: string;
  /** Which try of the turn it is of, from 1. */
  readonly attempt: number;
  readonly number: number;
}

const FORM = /^(.+)\.(\d+)\.(\d+)$/;

/** The id of an event that stands there. */
export function eventId({ life, attempt, number }: EventPlace): string {
  return `${life}.${attempt}.${number}`;
}

/** The place that an id tells, if it is one. */
function placeIn(id: string): EventPlace | undefined {
  const [, life, attempt, number] = FORM.exec(id) ?? [];
  return life === undefined ? undefined : { life, attempt: Number(attempt), number: Number(number) };
}

/** What becomes of an event for a client that has seen some: it has it, it gets it, or it gets it after a `retry`. */
export type Admission = "seen" | "next" | "anew";

/**
 * What a client gets that comes back with the id of the last event that it has seen: what came after that, or, if what it has is of
 * another life or another try of the turn, a `retry` and everything.
 */
export class Resumption {
  /** The last event that the client has seen, until it gets something else. */
  #seen: EventPlace | undefined;
  /** The life and the try that the client has something of. */
  #told: Pick<EventPlace, "life" | "attempt"> | undefined;
  /** Whether the client has something of the turn as it is read here. */
  #known = false;

  /** An id that nobody can have had, as of an earlier release, is of something else. */
  constructor(lastEventId: string | null | undefined) {
    if (lastEventId === null || lastEventId === undefined || lastEventId === "") return;
    this.#seen = placeIn(lastEventId);
    this.#told = this.#seen ?? { life: "", attempt: 0 };
  }

  /** What becomes of the event that stands there; to be asked of all, in their order. */
  admit(place: EventPlace): Admission {
    const known = this.#told?.life === place.life && this.#told.attempt === place.attempt;
    this.#known ||= known;
    if (this.#seen?.life === place.life && place.number <= this.#seen.number) return "seen";
    const anew = this.#told !== undefined && !known;
    if (anew) this.#seen = undefined;
    this.#told = { life: place.life, attempt: place.attempt };
    this.#known = true;
    return anew ? "anew" : "next";
  }

  /**
   * Whether what the client has is void although nothing came in its place, at the end of a turn that was tried so often. What it
   * has of the last try of a turn that did not complete is what there is.
   */
  isVoid(attempts: number, completed: boolean): boolean {
    if (this.#told === undefined) return false;
    return this.#told.attempt < attempts || (completed && !this.#known);
  }
}
