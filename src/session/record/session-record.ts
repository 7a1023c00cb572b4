import { sizeOf } from "../../claude/messages/message-size.ts";
import type { Clock } from "../../clock.ts";
import { withoutUndefined } from "../../fields.ts";
import type { ChangeOf } from "../../journal/model/change-groups.ts";
import type { ContentEntry } from "../../journal/model/event-entry.ts";
import { extractContents } from "./content.ts";
import type { EventDraft, LiveDraft, RecordedEventType } from "./session-event-types.ts";
import { EVENT_VERSION } from "./session-event-types.ts";
import { Tail, type TailLimits } from "./tail.ts";

/** How many events to keep until the journal has told the last number. */
const MOST_EARLY = 1_024;

/** Events that are kept however many wait for the journal. The number of turns and processes bounds them. */
const ALWAYS: ReadonlySet<RecordedEventType> = new Set([
  "turn_accepted",
  "turn_started",
  "turn_retried",
  "turn_ended",
  "steered",
  "steer_settled",
  "approval_requested",
  "approval_settled",
  "started",
  "exit",
  "quarantined",
  "hibernated",
  "conversation",
  "spent",
]);

/** The change that appends an event to the journal. */
export type EventAppended = ChangeOf<"event_appended">;

/** An event whose contents have been taken out already. */
export interface ExtractedDraft {
  readonly draft: EventDraft;
  readonly contents: readonly ContentEntry[];
}

/** What a record may be given besides. */
export interface RecordMeans {
  readonly limits?: TailLimits;
  /** Called when the first reader comes, which waits for events that are not written yet. */
  onReader?(): void;
  /** Called for events that wait for the first number. */
  onEarly?(): void;
}

interface Dated extends ExtractedDraft {
  readonly at: number;
}

const NO_CONTENTS: readonly ContentEntry[] = [];

/** The fields of an event that its entry has outside its body. */
const OUTSIDE_BODY: ReadonlySet<string> = new Set(["type", "turnId"]);

/**
 * What a session sees and does: gives each event its number, and gives it to the readers once {@link SessionRecord.written} has
 * told that the journal has it.
 */
export class SessionRecord {
  /** The last events, while somebody reads them, or some wait for the journal, and after the end. */
  #tail: Tail | undefined;
  readonly #session: string;
  readonly #clock: Pick<Clock, "now">;
  readonly #means: RecordMeans;
  /** The highest number given, once it is known. */
  #last: number | undefined;
  #opened = 0;
  /** The events before that. */
  #early: Dated[] | undefined;
  /** How many events were dropped since the last one that was kept, by turn. */
  #lost: Map<string | undefined, number> | undefined;
  #readers = 0;
  #isErased = false;

  /** `session` is the canonical name. */
  constructor(session: string, clock: Pick<Clock, "now">, means: RecordMeans = {}) {
    this.#session = session;
    this.#clock = clock;
    this.#means = means;
  }

  /** The last events. A reader joins before it keeps them. */
  get tail(): Tail {
    if (this.#tail === undefined) {
      this.#tail = new Tail(this.#means.limits);
      this.#tail.open(this.#last ?? 0);
    }
    return this.#tail;
  }

  /** The number of the last published recorded event. */
  get published(): number {
    return this.#tail?.published ?? this.#last ?? 0;
  }

  /** The number after which the record continued in this process. */
  get opened(): number {
    return this.#opened;
  }

  /** Whether the last event has been published. */
  get hasEnded(): boolean {
    return this.#tail?.hasEnded === true;
  }

  /** The highest number given, or undefined if it is not known yet. */
  get last(): number | undefined {
    return this.#last;
  }

  /** The time in milliseconds since the epoch. */
  get now(): number {
    return this.#clock.now();
  }

  /**
   * Continues after the highest number that the journal has ever had for the session. Returns the missing events and
   * then those that came early, to be written. Has no effect a second time.
   */
  open(last: number, missing: readonly (EventDraft | ExtractedDraft)[] = []): EventAppended[] {
    if (this.#last !== undefined) return [];
    this.#last = last;
    this.#opened = last;
    this.#tail?.open(last);
    const early = this.#early ?? [];
    this.#early = undefined;
    const appended = this.append(missing);
    for (const dated of early) this.#append(dated, appended);
    return appended;
  }

  /**
   * Gives these events the next numbers. Returns the changes that append them to the journal: they must be written in
   * this order, before those of any later call.
   */
  append(drafts: readonly (EventDraft | ExtractedDraft)[]): EventAppended[] {
    const at = this.#clock.now();
    const appended: EventAppended[] = [];
    for (const given of drafts) {
      const { draft, contents } = "draft" in given ? given : { draft: given, contents: NO_CONTENTS };
      const dated = { draft, contents, at };
      if (this.#last !== undefined) this.#append(dated, appended);
      else this.#keepEarly(dated);
    }
    if (this.hasEarly) this.#means.onEarly?.();
    return appended;
  }

  /** Whether events wait for the first number. */
  get hasEarly(): boolean {
    return this.#early !== undefined;
  }

  /** Gives a live event to the readers. */
  show(draft: LiveDraft): void {
    if (this.#readers === 0 || this.tail.isFull) return;
    this.tail.addLive({ ...draft, at: this.#clock.now(), after: this.#last ?? 0 }, sizeOf(draft));
  }

  /** Publishes events, because the journal has them. */
  written(appended: readonly EventAppended[]): void {
    for (const { event } of appended) this.#tail?.settle(event.number);
    this.#forgetIfUnused();
  }

  /**
   * Returns what to write in place of events that the journal rejects, so that their numbers are not given again. The
   * journal ignores it if it has later events by then; readers of the journal then learn of a gap.
   */
  replacing(rejected: readonly EventAppended[]): EventAppended[] {
    return rejected.map(({ event }) => {
      const lost = { draft: lostEvents(1, event.turn), at: event.at, contents: NO_CONTENTS };
      const { change } = this.#change(lost, event.number);
      this.#tail?.replace(change.event);
      return change;
    });
  }

  /**
   * Ends the record in this process. Readers finish after the last event that is written; with `drop`, because nothing
   * more can be written, at once.
   */
  end({ drop = false }: { readonly drop?: boolean } = {}): void {
    this.tail.finish(drop);
  }

  /** Whether new events may wait for later ones before they are written: nobody reads them, and only a few wait. */
  get mayWait(): boolean {
    return this.#readers === 0 && this.#tail?.hasRoom !== false;
  }

  /** How many readers there are. */
  get readers(): number {
    return this.#readers;
  }

  /** Whether the record was erased. What the journal has by now is another session's. */
  get isErased(): boolean {
    return this.#isErased;
  }

  /** Ends the record and its readers, because it is erased. */
  erase(): void {
    this.#isErased = true;
    this.end({ drop: true });
  }

  /** Counts a reader, until `left`. */
  joined(): void {
    this.#readers++;
    if (this.#readers === 1) this.#means.onReader?.();
  }

  left(): void {
    this.#readers--;
    this.#forgetIfUnused();
  }

  /** Frees the memory of published events while nobody reads: most sessions have no reader, and the journal has them all. */
  #forgetIfUnused(): void {
    if (this.#readers > 0) return;
    this.#tail?.forget();
    if (this.#tail?.isEmpty === true) this.#tail = undefined;
  }

  #append(dated: Dated, appended: EventAppended[]): void {
    const { draft, at } = dated;
    if (this.#tail?.isFull === true && !ALWAYS.has(draft.type)) {
      this.#lose(draft);
      return;
    }
    if (this.#lost !== undefined) {
      for (const [turnId, events] of this.#lost) {
        appended.push(this.#next({ draft: lostEvents(events, turnId), at, contents: NO_CONTENTS }));
      }
      this.#lost = undefined;
    }
    appended.push(this.#next(dated));
  }

  #keepEarly(dated: Dated): void {
    this.#early ??= [];
    if (this.#early.length < MOST_EARLY) this.#early.push(dated);
    else this.#lose(dated.draft);
  }

  #lose({ turnId }: EventDraft): void {
    this.#lost ??= new Map();
    this.#lost.set(turnId, (this.#lost.get(turnId) ?? 0) + 1);
  }

  /** Gives the event the next number. */
  #next(dated: Dated): EventAppended {
    const { tail } = this;
    this.#last = (this.#last ?? 0) + 1;
    const { change, size } = this.#change(dated, this.#last);
    tail.add(change.event, size);
    return change;
  }

  #change(
    { draft, at, contents: known }: Dated,
    number: number,
  ): { readonly change: EventAppended; readonly size: number } {
    const { body, contents: found, size } = extractContents(draft, { into: { v: EVENT_VERSION }, omit: OUTSIDE_BODY });
    const contents = known.length === 0 ? found : [...known, ...found];
    const { type, turnId: turn } = draft;
    const session = this.#session;
    const event = turn === undefined ? { session, number, at, type, body } : { session, number, at, type, turn, body };
    if (contents.length === 0) return { change: { type: "event_appended", event }, size };
    const hashes = contents.map(({ hash }) => hash);
    return { change: { type: "event_appended", event: { ...event, contents: hashes }, contents }, size };
  }
}

function lostEvents(events: number, turnId: string | undefined): EventDraft {
  return { type: "lost", events, ...withoutUndefined({ turnId }) };
}
