import type { CastellanError } from "../../errors.ts";
import type { ApprovalEntry } from "../model/approval-entry.ts";
import type { Batch } from "../model/change.ts";
import type { ConversationEntry } from "../model/conversation-entry.ts";
import type { DeliveryEntry, DeliveryQuery } from "../model/delivery-entry.ts";
import type { ContentEntry, EventEntry, EventExtent, EventQuery } from "../model/event-entry.ts";
import type { JobEntry } from "../model/job-entry.ts";
import type { Journal, JournalOwner, Retention, SessionExtent, SessionRecord } from "../model/journal.ts";
import type { SessionEntry } from "../model/session-entry.ts";
import type { SessionListQuery } from "../model/session-list.ts";
import type { TranscriptHead, TranscriptKey, TranscriptStore } from "../model/transcript-entry.ts";
import type { TurnEntry, TurnQuery } from "../model/turn-entry.ts";
import type { UsageEntry, UsageQuery } from "../model/usage-entry.ts";
import { wasApplied } from "./applied.ts";
import { type Channel, ChannelClosed } from "./channel.ts";
import type { ReadMethod, StreamMethod } from "./journal-calls.ts";

/** Where the journal is: opened here, in another application behind a connection, or on its way. */
type Place =
  | { readonly name: "here" }
  | { readonly name: "moving"; readonly arrived: PromiseWithResolvers<void> }
  | { readonly name: "there"; readonly channel: Channel };

/**
 * A journal that another application on this machine can take over while sessions use it: calls wait during the
 * hand-over, and then go to the other application. It is the same journal, so readers and the writer notice nothing.
 */
export class MovableJournal implements Journal {
  readonly #own: Journal;
  readonly transcripts?: TranscriptStore;
  #place: Place = { name: "here" };
  /** The calls that the journal works on here. */
  #calls = 0;
  #quiet: PromiseWithResolvers<void> | undefined;
  /** Numbers of batches count from the last opening; the writer counts from the first one. */
  #base = 0;
  #written = 0;
  /** The number of a batch that another application may have written before it went away. */
  #doubtful: number | undefined;

  constructor(own: Journal) {
    this.#own = own;
    const { transcripts } = own;
    if (transcripts === undefined) return;
    this.transcripts = {
      of: (id) => this.#read("transcripts.of", [id], () => transcripts.of(id)) as Promise<TranscriptHead[]>,
      writtenBy: (key) =>
        this.#read("transcripts.writtenBy", [key], () => transcripts.writtenBy(key)) as Promise<TranscriptHead[]>,
      lines: (key: TranscriptKey) =>
        this.#stream("transcripts.lines", [key], () => transcripts.lines(key)) as AsyncIterable<string>,
    };
  }

  get location(): string {
    return this.#own.location;
  }

  get kind(): NonNullable<Journal["kind"]> {
    return this.#own.kind ?? "memory";
  }

  get shared(): boolean {
    return this.#place.name !== "here" || this.#own.shared === true;
  }

  get unwritable(): CastellanError | undefined {
    return this.#place.name === "here" ? this.#own.unwritable : undefined;
  }

  get damage(): string | undefined {
    return this.#place.name === "here" ? this.#own.damage : undefined;
  }

  get lost(): Promise<CastellanError> | undefined {
    return this.#own.lost;
  }

  async open(owner: JournalOwner): Promise<void> {
    await this.#own.open(owner);
    this.#base = this.#written;
  }

  /** Closes the journal here, once no call is in work. Later calls wait for {@link MovableJournal.arrive}. */
  async leave(): Promise<void> {
    this.depart();
    if (this.#calls > 0) {
      this.#quiet ??= Promise.withResolvers();
      await this.#quiet.promise;
    }
    await this.#own.close();
  }

  /** Calls wait from now on. */
  depart(): void {
    if (this.#place.name !== "moving") this.#place = { name: "moving", arrived: Promise.withResolvers() };
  }

  /** The journal is open here, or with the other application. */
  arrive(channel?: Channel): void {
    const before = this.#place;
    this.#place = channel === undefined ? { name: "here" } : { name: "there", channel };
    if (before.name === "moving") before.arrived.resolve();
  }

  async close(): Promise<void> {
    if (this.#place.name === "here") await this.#own.close();
  }

  async write(batch: Batch): Promise<void> {
    for (;;) {
      const place = await this.#arrived();
      if (place.name === "here") {
        const isDone = this.#doubtful === batch.number && (await this.#here(() => wasApplied(batch, this.#own)));
        if (!isDone) await this.#here(() => this.#own.write({ ...batch, number: batch.number - this.#base }));
        break;
      }
      try {
        await place.channel.call("write", batch, this.#doubtful === batch.number);
        break;
      } catch (error) {
        if (!(error instanceof ChannelClosed)) throw error;
        this.#doubtful = batch.number;
        if (this.#place === place) this.depart();
      }
    }
    this.#written = batch.number;
    this.#doubtful = undefined;
  }

  async sessions(keys: readonly string[]): Promise<SessionEntry[]> {
    return (await this.#read("sessions", [keys], () => this.#own.sessions(keys))) as SessionEntry[];
  }

  async listSessions(query: SessionListQuery): Promise<SessionEntry[]> {
    return (await this.#read("listSessions", [query], () => this.#own.listSessions(query))) as SessionEntry[];
  }

  async unfinishedBeginning(keyPrefix: string): Promise<string[]> {
    const read = (): Promise<string[]> => this.#own.unfinishedBeginning(keyPrefix);
    return (await this.#read("unfinishedBeginning", [keyPrefix], read)) as string[];
  }

  async turn(id: string): Promise<TurnEntry | undefined> {
    return (await this.#read("turn", [id], () => this.#own.turn(id))) as TurnEntry | undefined;
  }

  async turns(query: TurnQuery): Promise<TurnEntry[]> {
    return (await this.#read("turns", [query], () => this.#own.turns(query))) as TurnEntry[];
  }

  async unfinishedTurns(sessions: readonly string[]): Promise<TurnEntry[]> {
    return (await this.#read("unfinishedTurns", [sessions], () => this.#own.unfinishedTurns(sessions))) as TurnEntry[];
  }

  async approvals(session: string, limit: number): Promise<ApprovalEntry[]> {
    const read = (): Promise<ApprovalEntry[]> => this.#own.approvals(session, limit);
    return (await this.#read("approvals", [session, limit], read)) as ApprovalEntry[];
  }

  async conversations(session: string): Promise<ConversationEntry[]> {
    return (await this.#read("conversations", [session], () =>
      this.#own.conversations(session),
    )) as ConversationEntry[];
  }

  records(session: string): AsyncIterable<SessionRecord> {
    return this.#stream("records", [session], () => this.#own.records(session)) as AsyncIterable<SessionRecord>;
  }

  async job(id: string): Promise<JobEntry | undefined> {
    return (await this.#read("job", [id], () => this.#own.job(id))) as JobEntry | undefined;
  }

  jobs(session: string): AsyncIterable<JobEntry> {
    return this.#stream("jobs", [session], () => this.#own.jobs(session)) as AsyncIterable<JobEntry>;
  }

  async dueBeginning(keyPrefix: string, until: number): Promise<string[]> {
    const read = (): Promise<string[]> => this.#own.dueBeginning(keyPrefix, until);
    return (await this.#read("dueBeginning", [keyPrefix, until], read)) as string[];
  }

  async events(query: EventQuery): Promise<EventEntry[]> {
    return (await this.#read("events", [query], () => this.#own.events(query))) as EventEntry[];
  }

  async eventExtent(session: string): Promise<EventExtent | undefined> {
    const read = (): Promise<EventExtent | undefined> => this.#own.eventExtent(session);
    return (await this.#read("eventExtent", [session], read)) as EventExtent | undefined;
  }

  async content(hash: string, session?: string): Promise<ContentEntry | undefined> {
    const read = (): Promise<ContentEntry | undefined> => this.#own.content(hash, session);
    return (await this.#read("content", [hash, session], read)) as ContentEntry | undefined;
  }

  async deliveries(query: DeliveryQuery): Promise<DeliveryEntry[]> {
    return (await this.#read("deliveries", [query], () => this.#own.deliveries(query))) as DeliveryEntry[];
  }

  async extent(session: string): Promise<SessionExtent> {
    return (await this.#read("extent", [session], () => this.#own.extent(session))) as SessionExtent;
  }

  async usage(query: UsageQuery): Promise<UsageEntry[]> {
    return (await this.#read("usage", [query], () => this.#own.usage(query))) as UsageEntry[];
  }

  async version(): Promise<string> {
    return (await this.#read("version", [], () => this.#own.version?.() ?? Promise.resolve(""))) as string;
  }

  /** Only the owner prunes. */
  async prune(retention: Retention): Promise<number> {
    return this.#place.name === "here" ? await this.#here(() => this.#own.prune(retention)) : 0;
  }

  /** Only the owner rewrites its files. */
  async expunge(urgent: boolean): Promise<void> {
    if (this.#place.name === "here") await this.#here(async () => await this.#own.expunge?.(urgent));
  }

  async #read(method: ReadMethod, args: readonly unknown[], read: () => Promise<unknown>): Promise<unknown> {
    for (;;) {
      const place = await this.#arrived();
      if (place.name === "here") return await this.#here(read);
      try {
        return await place.channel.call("read", method, args);
      } catch (error) {
        if (!(error instanceof ChannelClosed)) throw error;
        if (this.#place === place) this.depart();
      }
    }
  }

  /** A stream that began here, or in another application, ends there: it fails when the journal moves. */
  async *#stream(
    method: StreamMethod,
    args: readonly unknown[],
    read: () => AsyncIterable<unknown>,
  ): AsyncGenerator<unknown, void, undefined> {
    const place = await this.#arrived();
    if (place.name === "here") {
      yield* read();
      return;
    }
    const id = await place.channel.call("stream", method, args);
    try {
      for (;;) {
        const { values, done } = (await place.channel.call("more", id)) as { values: unknown[]; done: boolean };
        yield* values;
        if (done) return;
      }
    } finally {
      await place.channel.call("leave", id).catch(() => {});
    }
  }

  async #arrived(): Promise<Exclude<Place, { readonly name: "moving" }>> {
    while (this.#place.name === "moving") await this.#place.arrived.promise;
    return this.#place;
  }

  async #here<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#calls++;
    try {
      return await work();
    } finally {
      this.#calls--;
      if (this.#calls === 0) {
        this.#quiet?.resolve();
        this.#quiet = undefined;
      }
    }
  }
}
