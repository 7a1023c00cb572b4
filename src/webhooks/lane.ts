import { type Clock, pause, type Timer } from "../clock.ts";
import type { JournalWriter } from "../journal/journal-writer.ts";
import type { Change } from "../journal/model/change.ts";
import type { EventEntry } from "../journal/model/event-entry.ts";
import type { Journal } from "../journal/model/journal.ts";
import { hasLabels } from "../journal/model/session-list.ts";
import { nameOfKey } from "../names.ts";
import { backoffDelay } from "../supervision/backoff.ts";
import type { Endpoint, Outgoing } from "./endpoint.ts";
import { webhookId } from "./signature.ts";
import { webhookMessage, webhookSession } from "./webhook-message.ts";
import { recordedTypes, type WebhookType, webhookTypeOf } from "./webhook-type.ts";

/** How many events to read at a time. */
const PAGE = 20;

/** How long a lane with nothing to deliver waits for more, so that a busy session writes one entry, in milliseconds. */
const LINGER_MS = 2_000;

/** How often at most to write the position, in milliseconds. After a crash, events since then are sent again. */
const SAVE_MS = 500;

/** How often to mark a session again that has new events: the journal forgets old marks. */
const MARK_AGAIN_MS = 3_600_000;

/** Back-off after a read that failed, in milliseconds. */
const READ_RETRY = { base: 500, factor: 2, max: 30_000, jitter: 0.2 };

export interface LaneDeps {
  readonly journal: Journal;
  readonly writer: JournalWriter;
  readonly clock: Clock;
  readonly random: () => number;
  /** Called when the lane has nothing to deliver at present, or waits. */
  readonly changed: () => void;
  /** Called once the lane has delivered everything, or has stopped. */
  readonly ended: (lane: Lane) => void;
}

/**
 * The events of one session on their way to one endpoint, one after the other. They are read from the journal, so a lane
 * has no queue. The journal has its position as long as it lives.
 */
export class Lane {
  readonly session: string;
  readonly endpoint: Endpoint;
  readonly #deps: LaneDeps;
  readonly #types: readonly string[];
  readonly #stop = new AbortController();
  /** Whether the journal is known to have the position, or will have it before any later change. */
  #isMarked = false;
  /** When that was written, on the monotonic clock. */
  #markedAt = Number.NEGATIVE_INFINITY;
  /** How many batches with events for the endpoint are being written. */
  #unwritten = 0;
  /** The number of the last event for the endpoint, once there is one in this process. */
  #lastDue: number | undefined;
  /** Counts the batches that were written. */
  #written = 0;
  #wake: (() => void) | undefined;
  #isRunning = false;
  #isWaiting = false;
  #after: number | undefined;
  #isSaved = true;
  #saving: Timer | undefined;
  /** Whether the journal may have deleted events that were not delivered. */
  #mayLack = true;
  /** Whether events may be undelivered. */
  #isPending = true;

  constructor(session: string, endpoint: Endpoint, deps: LaneDeps) {
    this.session = session;
    this.endpoint = endpoint;
    this.#deps = deps;
    this.#types = recordedTypes(endpoint.settings.types);
  }

  get isPending(): boolean {
    return this.#isPending;
  }

  /** Whether it waits because the endpoint rejected its event. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Whether it can deliver nothing at present. */
  get isStuck(): boolean {
    return this.#isWaiting || !this.endpoint.isReady;
  }

  /**
   * Tells that an event for the endpoint will be written, and `settled` called. Returns the mark if it is needed: it must be
   * written before or with the event.
   */
  due(mark: Change, number: number): Change | undefined {
    const now = this.#deps.clock.monotonic();
    this.#lastDue = number;
    this.#unwritten += 1;
    this.#isPending = true;
    if (this.#isMarked && now - this.#markedAt < MARK_AGAIN_MS) return undefined;
    this.#isMarked = true;
    this.#markedAt = now;
    return mark;
  }

  /** Tells whether the event was written. */
  settled(isWritten: boolean): void {
    this.#unwritten -= 1;
    if (isWritten) this.#written += 1;
    // What was not written may have been the mark.
    else this.#isMarked = false;
    this.start();
    this.#wake?.();
  }

  /** Begins to deliver. */
  start(): void {
    if (this.#isRunning || this.#stop.signal.aborted) return;
    this.#isRunning = true;
    void this.#run();
  }

  /** Stops, and writes the position. What is undelivered stays in the journal. */
  stop(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#wake?.();
    this.#save();
    this.#deps.ended(this);
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async #run(): Promise<void> {
    for (let failures = 1; !this.#isStopped; ) {
      try {
        const written = this.#written;
        const after = await this.#position();
        const hasMore = after !== undefined && (await this.#deliverPage(after));
        failures = 1;
        if (!hasMore && this.#written === written && (await this.#isOver())) return this.#end();
      } catch {
        // The journal could not be read. Its own warnings say why.
        failures += 1;
        const ms = backoffDelay(failures, READ_RETRY, this.#deps.random);
        await pause(this.#deps.clock, ms, { signal: this.#stop.signal, background: true });
      }
    }
  }

  /** Returns the position; undefined if the journal has none, so that nothing is undelivered. */
  async #position(): Promise<number | undefined> {
    if (this.#after !== undefined) return this.#after;
    const { journal, writer } = this.#deps;
    const { session } = this;
    // An earlier lane may have ended just before.
    await writer.record([], { session });
    const entries = await journal.deliveries({ sessions: [session], limit: 1_000 });
    this.#after = entries.find(({ endpoint }) => endpoint === this.endpoint.settings.id)?.after;
    if (this.#after !== undefined) this.#isMarked = true;
    return this.#after;
  }

  /** Delivers the next events. Returns whether there may be more. */
  async #deliverPage(position: number): Promise<boolean> {
    const { journal } = this.#deps;
    const { session } = this;
    const after = this.#mayLack ? await this.#checkGap(position) : position;
    const events = await journal.events({ session, after, types: this.#types, limit: PAGE });
    const isWanted = events.length > 0 && (await this.#hasLabels());
    for (const event of events) {
      const type = webhookTypeOf(event);
      if (isWanted && type !== undefined && this.endpoint.settings.types.has(type)) {
        if (!(await this.#deliver(event, type))) return false;
      }
      this.#advance(event.number);
    }
    const last = events.at(-1);
    return last !== undefined && (this.#lastDue === undefined || last.number < this.#lastDue);
  }

  /** Tells that events were deleted before they were delivered. Returns where to go on. */
  async #checkGap(position: number): Promise<number> {
    const extent = await this.#deps.journal.eventExtent(this.session);
    this.#mayLack = false;
    // Otherwise the position is of a session that had the name before.
    const after = extent === undefined || extent.last < position ? 0 : position;
    if (extent === undefined || extent.first <= after + 1) return after;
    this.endpoint.drop({ session: nameOfKey(this.session), reason: "pruned", event: extent.first });
    this.#advance(extent.first - 1);
    return extent.first - 1;
  }

  async #hasLabels(): Promise<boolean> {
    const { labels } = this.endpoint.settings;
    if (labels === undefined) return true;
    const [entry] = await this.#deps.journal.sessions([this.session]);
    return hasLabels(entry?.description?.labels, labels);
  }

  /** Delivers an event, however often that takes to try. Returns false if the lane stopped first. */
  async #deliver(event: EventEntry, type: WebhookType): Promise<boolean> {
    const { clock } = this.#deps;
    const { signal } = this.#stop;
    const expiresAt = event.at + this.endpoint.settings.maxAgeMs;
    for (let [attempt, rejections] = [1, 0]; ; attempt++) {
      const outgoing = (): Promise<Outgoing> => this.#outgoing(event, type, attempt);
      const fate = await this.endpoint.send(expiresAt, signal, outgoing);
      if (fate.name === "stopped") return false;
      if (fate.name === "delivered") return true;
      if (fate.name === "expired" || (fate.name === "rejected" && clock.now() >= expiresAt)) {
        this.endpoint.drop({ session: nameOfKey(this.session), reason: "expired", event: event.number });
        return true;
      }
      this.#mayLack = true;
      this.#isWaiting = fate.name === "rejected";
      this.#deps.changed();
      if (fate.name !== "rejected") continue;
      rejections += 1;
      await this.endpoint.delay(rejections, fate.waitMs, signal);
      this.#isWaiting = false;
    }
  }

  async #outgoing(event: EventEntry, type: WebhookType, attempt: number): Promise<Outgoing> {
    const { journal } = this.#deps;
    const { id: endpoint, includesResult } = this.endpoint.settings;
    const { session, number, at, turn: turnId } = event;
    const wantsTurn = includesResult && type === "turn.completed" && turnId !== undefined;
    const turn = wantsTurn ? await journal.turn(turnId) : undefined;
    const message = webhookMessage(type, webhookSession(session, journal.shared === true), event, turn);
    return { id: webhookId({ endpoint, session, number, at }), message, attempt };
  }

  /** Whether nothing more comes for a while. */
  async #isOver(): Promise<boolean> {
    if (this.#isStopped) return false;
    const written = this.#written;
    this.#isPending = this.#unwritten > 0;
    this.#deps.changed();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#deps.clock.schedule(LINGER_MS, resolve, { background: true });
    this.#wake = resolve;
    await promise;
    timer.cancel();
    this.#wake = undefined;
    return !this.#isStopped && this.#unwritten === 0 && this.#written === written;
  }

  #end(): void {
    const { session, endpoint } = this;
    this.#stop.abort();
    this.#saving?.cancel();
    if (this.#isMarked) {
      this.#deps.writer.note([{ type: "delivery_done", session, endpoint: endpoint.settings.id }], { session });
    }
    this.#deps.ended(this);
  }

  #advance(number: number): void {
    this.#after = number;
    this.#isSaved = false;
    this.#saving ??= this.#deps.clock.schedule(SAVE_MS, () => this.#save(), { background: true });
  }

  #save(): void {
    this.#saving?.cancel();
    this.#saving = undefined;
    if (this.#isSaved || !this.#isMarked || this.#after === undefined) return;
    this.#isSaved = true;
    const { session } = this;
    const change: Change = {
      type: "delivery_advanced",
      session,
      endpoint: this.endpoint.settings.id,
      after: this.#after,
      at: this.#deps.clock.now(),
    };
    this.#deps.writer.note([change], { session });
  }
}
