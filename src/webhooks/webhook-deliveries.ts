import { type Clock, pause, type Timer } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import type { JournalWriter } from "../journal/journal-writer.ts";
import type { Change } from "../journal/model/change.ts";
import type { DeliveryEntry } from "../journal/model/delivery-entry.ts";
import type { EventEntry } from "../journal/model/event-entry.ts";
import type { Journal } from "../journal/model/journal.ts";
import { beginsWith, nameOfKey } from "../names.ts";
import type { DueDelivery, EventDelivery } from "../session/persistence/event-delivery.ts";
import type { EventAppended } from "../session/record/session-record.ts";
import { backoffDelay } from "../supervision/backoff.ts";
import type { Endpoint } from "./endpoint.ts";
import { Lane } from "./lane.ts";
import { webhookTypeOf } from "./webhook-type.ts";

/** How many lanes an endpoint has at most. Other sessions wait in the journal. */
const MOST_LANES = 1_000;

/** How many entries of the journal to read at a time. */
const PAGE = 200;

/** How often to look in the journal for sessions that had to wait there, in milliseconds. */
const LOOK_MS = 30_000;

/** How long the end of the application waits for what can be delivered, in milliseconds. */
const CLOSE_MS = 2_000;

/** Back-off after a read that failed, in milliseconds. */
const READ_RETRY = { base: 500, factor: 2, max: 30_000, jitter: 0.2 };

interface WebhookDeliveriesDeps {
  readonly endpoints: readonly Endpoint[];
  readonly journal: Journal;
  readonly writer: JournalWriter;
  /** Name of the root supervisor. */
  readonly supervisor: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** How many lanes an endpoint has at most. Default: 1,000. */
  readonly mostLanes?: number | undefined;
}

/** Delivers the events of the sessions in one journal to the endpoints. */
export class WebhookDeliveries implements EventDelivery {
  readonly #deps: WebhookDeliveriesDeps;
  /** The lanes by session, for each endpoint. */
  readonly #lanes: ReadonlyMap<Endpoint, Map<string, Lane>>;
  /** The endpoints with sessions for which there was no lane. */
  readonly #crowded = new Set<Endpoint>();
  /** The sessions that have left. Another application may write about them by now. */
  readonly #left = new Set<string>();
  readonly #most: number;
  readonly #closing = new AbortController();
  /** The last entry that was looked at. A search begins after it, so that each session has its turn. */
  #cursor: Pick<DeliveryEntry, "session" | "endpoint"> | undefined;
  #looking: Promise<void> | undefined;
  #timer: Timer | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(deps: WebhookDeliveriesDeps) {
    this.#deps = deps;
    this.#most = deps.mostLanes ?? MOST_LANES;
    this.#lanes = new Map(deps.endpoints.map((endpoint) => [endpoint, new Map()]));
  }

  /** Continues what earlier applications left undelivered. */
  start(): void {
    this.#look();
  }

  due(session: string, events: readonly EventAppended[]): DueDelivery | undefined {
    const changes: Change[] = [];
    const lanes: Lane[] = [];
    let isWanted = false;
    for (const { event } of events) {
      const type = webhookTypeOf(event);
      if (type === undefined) continue;
      for (const endpoint of this.#lanes.keys()) {
        const { types, prefix } = endpoint.settings;
        if (!types.has(type) || (prefix !== undefined && !beginsWith(nameOfKey(session), prefix))) continue;
        isWanted = true;
        const lane = this.#lane(endpoint, session);
        const mark =
          lane === undefined ? this.#mark(endpoint, event) : lane.due(this.#mark(endpoint, event), event.number);
        if (mark !== undefined) changes.push(mark);
        if (lane !== undefined) lanes.push(lane);
      }
    }
    if (!isWanted) return undefined;
    return {
      changes,
      settled: (isWritten) => {
        for (const lane of lanes) lane.settled(isWritten);
      },
    };
  }

  #mark(endpoint: Endpoint, { session, number }: EventEntry): Change {
    const { supervisor, clock } = this.#deps;
    const after = number - 1;
    const delivery = { session, endpoint: endpoint.settings.id, supervisor, after, at: clock.now() };
    return { type: "delivery_due", delivery };
  }

  restored(sessions: readonly string[]): void {
    for (const session of sessions) this.#left.delete(session);
    void this.#retrying(async () => {
      for (let from = 0; from < sessions.length; from += PAGE) {
        const some = sessions.slice(from, from + PAGE);
        const limit = PAGE * this.#lanes.size;
        this.#begin(await this.#deps.journal.deliveries({ sessions: some, limit }));
      }
    });
  }

  leave(session: string): void {
    if (this.#deps.journal.shared === true) this.#left.add(session);
    for (const lanes of this.#lanes.values()) lanes.get(session)?.stop();
  }

  /** How many sessions may have undelivered events for an endpoint, and whether there may be more. */
  pending(endpoint: Endpoint): { readonly sessions: number; readonly more: boolean } {
    const lanes = [...(this.#lanes.get(endpoint)?.values() ?? [])];
    return { sessions: lanes.filter(({ isPending }) => isPending).length, more: this.#crowded.has(endpoint) };
  }

  /** Waits briefly for what can be delivered, and stops. Positions are with the writer afterwards. */
  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenIdle = resolve;
    this.#tellIfIdle();
    await withDeadline(this.#deps.clock, CLOSE_MS, promise);
    this.stop();
    await this.#looking;
  }

  /** Stops at once. */
  stop(): void {
    this.#closing.abort();
    this.#timer?.cancel();
    for (const lanes of this.#lanes.values()) for (const lane of [...lanes.values()]) lane.stop();
  }

  /** Returns the lane of a session, a new one if needed; undefined if there are too many. */
  #lane(endpoint: Endpoint, session: string): Lane | undefined {
    const lanes = this.#lanes.get(endpoint);
    const present = lanes?.get(session);
    if (present !== undefined || lanes === undefined || this.#closing.signal.aborted) return present;
    if (this.#left.has(session)) return undefined;
    if (lanes.size >= this.#most) {
      this.#crowd(endpoint);
      return undefined;
    }
    const { journal, writer, clock, random } = this.#deps;
    const ended = (lane: Lane): void => {
      if (lanes.get(session) === lane) lanes.delete(session);
      if (lanes.size < this.#most / 2 && this.#crowded.has(endpoint)) this.#look();
    };
    const changed = (): void => this.#tellIfIdle();
    const lane = new Lane(session, endpoint, { journal, writer, clock, random, ended, changed });
    lanes.set(session, lane);
    return lane;
  }

  #crowd(endpoint: Endpoint): void {
    this.#crowded.add(endpoint);
    this.#timer ??= this.#deps.clock.schedule(LOOK_MS, () => this.#makeRoom(), { background: true });
  }

  /** Lets sessions in the journal take the place of those whose event the endpoint rejects again and again. */
  #makeRoom(): void {
    this.#timer = undefined;
    for (const endpoint of this.#crowded) {
      const lanes = [...(this.#lanes.get(endpoint)?.values() ?? [])];
      if (lanes.length < this.#most) continue;
      for (const lane of lanes.filter(({ isWaiting }) => isWaiting).slice(0, this.#most / 2)) lane.stop();
    }
    this.#look();
  }

  /** Looks for sessions with undelivered events in the journal. */
  #look(): void {
    if (this.#closing.signal.aborted) return;
    this.#looking ??= this.#search().finally(() => {
      this.#looking = undefined;
    });
  }

  async #search(): Promise<void> {
    const { journal, supervisor } = this.#deps;
    const scope = journal.shared === true ? {} : { supervisor };
    this.#crowded.clear();
    let after = this.#cursor;
    let isFromStart = after === undefined;
    this.#cursor = undefined;
    await this.#retrying(async () => {
      while (!this.#closing.signal.aborted) {
        const page = await journal.deliveries({ ...scope, ...(after && { after }), limit: PAGE });
        const left = this.#begin(page);
        // The next search begins with what had no room in this one.
        if (left !== undefined) this.#cursor ??= left === 0 ? after : page[left - 1];
        if (page.length === 0 && isFromStart) return;
        if (page.length === 0) isFromStart = true;
        after = page.at(-1);
      }
    });
  }

  /** Begins to deliver. Returns the index of the first entry for which there was no room. */
  #begin(entries: readonly DeliveryEntry[]): number | undefined {
    let left: number | undefined;
    for (const [index, entry] of entries.entries()) {
      const endpoint = [...this.#lanes.keys()].find(({ settings }) => settings.id === entry.endpoint);
      if (endpoint === undefined) continue;
      const lane = this.#lane(endpoint, entry.session);
      lane?.start();
      if (lane === undefined) left ??= index;
    }
    return left;
  }

  /** Repeats `work` until the journal can be read. Its own warnings say why it cannot. */
  async #retrying(work: () => Promise<void>): Promise<void> {
    const { clock, random } = this.#deps;
    const { signal } = this.#closing;
    for (let failures = 2; !signal.aborted; failures++) {
      try {
        return await work();
      } catch {
        await pause(clock, backoffDelay(failures, READ_RETRY, random), { signal, background: true });
      }
    }
  }

  #tellIfIdle(): void {
    if (this.#whenIdle === undefined) return;
    for (const lanes of this.#lanes.values()) {
      for (const lane of lanes.values()) if (lane.isPending && !lane.isStuck) return;
    }
    this.#whenIdle();
  }
}
