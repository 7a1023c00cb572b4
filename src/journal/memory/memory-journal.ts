import { CastellanError } from "../../errors.ts";
import { own, withoutUndefined } from "../../fields.ts";
import type { ApprovalEntry } from "../model/approval-entry.ts";
import type { Batch, Change, TurnBeginning } from "../model/change.ts";
import type { ConversationEntry } from "../model/conversation-entry.ts";
import type { DeliveryEntry, DeliveryQuery } from "../model/delivery-entry.ts";
import {
  type ContentEntry,
  type EventEntry,
  type EventExtent,
  type EventQuery,
  requireStorable,
} from "../model/event-entry.ts";
import type { JobEntry } from "../model/job-entry.ts";
import type { Journal, JournalOwner, Retention, SessionExtent, SessionRecord } from "../model/journal.ts";
import { inUse } from "../model/journal-errors.ts";
import type { JsonObject, SessionEntry } from "../model/session-entry.ts";
import { compareListed, isListed, type SessionListQuery, sessionLimitOf } from "../model/session-list.ts";
import { type Spending, sumOf, withTurns } from "../model/spending.ts";
import type { TranscriptStore } from "../model/transcript-entry.ts";
import { type TurnEntry, type TurnQuery, turnLimitOf } from "../model/turn-entry.ts";
import type { UsageDimension, UsageEntry, UsageQuery } from "../model/usage-entry.ts";
import { MemoryContents } from "./memory-contents.ts";
import { MemoryDeliveries } from "./memory-deliveries.ts";
import { MemoryEvents } from "./memory-events.ts";
import { MemoryTranscripts } from "./memory-transcripts.ts";

/** Spending on one model by one session on one day. */
type Spent = UsageEntry & { readonly [Dimension in UsageDimension]: string };

/**
 * Returns a journal in memory, for tests and applications that need no persistence. A closed one keeps its entries and
 * can be given to another supervisor.
 */
export function memoryJournal(): Journal {
  return new MemoryJournal();
}

class MemoryJournal implements Journal {
  readonly location: string = "memory";
  readonly kind = "memory";
  readonly #sessions = new Map<string, SessionEntry>();
  readonly #turns = new Map<string, TurnEntry>();
  /** Ids of unfinished turns by session, in the order of acceptance. */
  readonly #unfinished = new Map<string, Set<string>>();
  /** In the order of the requests. */
  readonly #approvals = new Map<string, ApprovalEntry>();
  readonly #spent = new Map<string, Spent>();
  /** By session, in order. */
  readonly #left = new Map<string, ConversationEntry[]>();
  /** In the order of their first writes. */
  readonly #jobs = new Map<string, JobEntry>();
  readonly #deliveries = new MemoryDeliveries();
  readonly #contents = new MemoryContents();
  readonly #events = new MemoryEvents(this.#contents);
  /** The hashes of the contents that a turn's prompt refers to, by turn id. */
  readonly #named = new Map<string, readonly string[]>();
  readonly #transcripts = new MemoryTranscripts(() => this.#refuseIfClosed());
  #owner: JournalOwner | undefined;
  #written = 0;

  get transcripts(): TranscriptStore {
    return this.#transcripts;
  }

  async open(owner: JournalOwner): Promise<void> {
    if (this.#owner !== undefined && this.#owner.id !== owner.id) throw inUse(this.location, this.#owner);
    this.#owner = owner;
    this.#written = 0;
  }

  async close(): Promise<void> {
    this.#owner = undefined;
  }

  async write({ number, changes }: Batch): Promise<void> {
    this.#refuseIfClosed();
    if (number <= this.#written) return;
    refuseInvalid(changes);
    for (const change of changes) this.#make(change);
    this.#written = number;
  }

  async sessions(keys: readonly string[]): Promise<SessionEntry[]> {
    this.#refuseIfClosed();
    return [...new Set(keys)].flatMap((key) => this.#sessions.get(key) ?? []);
  }

  async listSessions(query: SessionListQuery): Promise<SessionEntry[]> {
    this.#refuseIfClosed();
    const some = [...this.#sessions.values()].filter((session) => isListed(query, session));
    return some.toSorted((one, other) => compareListed(query, one, other)).slice(0, sessionLimitOf(query));
  }

  async unfinishedBeginning(keyPrefix: string): Promise<string[]> {
    this.#refuseIfClosed();
    const keys = [...this.#unfinished].flatMap(([key, turns]) => (turns.size > 0 ? [key] : []));
    return keys.filter((key) => key.startsWith(keyPrefix)).toSorted();
  }

  async turn(id: string): Promise<TurnEntry | undefined> {
    this.#refuseIfClosed();
    return this.#turns.get(id);
  }

  async turns(query: TurnQuery): Promise<TurnEntry[]> {
    this.#refuseIfClosed();
    const { session, states, before } = query;
    const sessions = new Set([session].flat());
    const all = [...this.#turns.values()].filter((turn) => sessions.has(turn.session));
    const end =
      before === undefined
        ? all.length
        : Math.max(
            0,
            all.findIndex(({ id }) => id === before),
          );
    const some = all.slice(0, end).filter(({ state }) => states?.includes(state) ?? true);
    return some.toReversed().slice(0, turnLimitOf(query));
  }

  async unfinishedTurns(sessions: readonly string[]): Promise<TurnEntry[]> {
    this.#refuseIfClosed();
    const rank = ({ state }: TurnEntry): number => (state === "running" ? 0 : 1);
    return [...new Set(sessions)]
      .flatMap((session) => [...(this.#unfinished.get(session) ?? [])])
      .flatMap((id) => this.#turns.get(id) ?? [])
      .toSorted((one, other) => rank(one) - rank(other) || one.position - other.position);
  }

  async approvals(session: string, limit: number): Promise<ApprovalEntry[]> {
    this.#refuseIfClosed();
    const asked = [...this.#approvals.values()].filter((approval) => approval.session === session).toReversed();
    return asked.toSorted((one, other) => other.requestedAt - one.requestedAt).slice(0, limit);
  }

  async conversations(session: string): Promise<ConversationEntry[]> {
    this.#refuseIfClosed();
    return [...(this.#left.get(session) ?? [])];
  }

  async *records(session: string): AsyncGenerator<SessionRecord, void, undefined> {
    this.#refuseIfClosed();
    for (const turn of this.#turns.values()) if (turn.session === session) yield { type: "turn", turn };
    for (const approval of this.#approvals.values()) {
      if (approval.session === session) yield { type: "approval", approval };
    }
    for await (const job of this.jobs(session)) yield { type: "job", job };
  }

  async job(id: string): Promise<JobEntry | undefined> {
    this.#refuseIfClosed();
    return this.#jobs.get(id);
  }

  async *jobs(session: string): AsyncGenerator<JobEntry, void, undefined> {
    this.#refuseIfClosed();
    for (const job of this.#jobs.values()) if (job.session === session) yield job;
  }

  async dueBeginning(keyPrefix: string, until: number): Promise<string[]> {
    this.#refuseIfClosed();
    const due = [...this.#jobs.values()].filter(
      ({ session, dueAt }) => session.startsWith(keyPrefix) && dueAt <= until,
    );
    return [...new Set(due.map(({ session }) => session))].toSorted();
  }

  async extent(session: string): Promise<SessionExtent> {
    this.#refuseIfClosed();
    const count = (entries: Iterable<{ readonly session: string }>): number =>
      [...entries].filter((entry) => entry.session === session).length;
    return {
      turns: count(this.#turns.values()),
      approvals: count(this.#approvals.values()),
      events: this.#events.count(session),
    };
  }

  async events(query: EventQuery): Promise<EventEntry[]> {
    this.#refuseIfClosed();
    return this.#events.page(query);
  }

  async eventExtent(session: string): Promise<EventExtent | undefined> {
    this.#refuseIfClosed();
    return this.#events.extent(session);
  }

  async content(hash: string, session?: string): Promise<ContentEntry | undefined> {
    this.#refuseIfClosed();
    return this.#contents.find(hash, session);
  }

  async deliveries(query: DeliveryQuery): Promise<DeliveryEntry[]> {
    this.#refuseIfClosed();
    return this.#deliveries.page(query);
  }

  async usage({ supervisor, session, since = "", until = "9", label, by }: UsageQuery): Promise<UsageEntry[]> {
    this.#refuseIfClosed();
    const wanted = [...this.#spent.values()].filter(
      (spent) =>
        (supervisor === undefined || spent.supervisor === supervisor) &&
        (session === undefined || spent.session === session) &&
        spent.day >= since &&
        spent.day <= until,
    );
    const labelOf = ({ session }: Spent): string | undefined =>
      label === undefined ? undefined : own(this.#sessions.get(session)?.description?.labels ?? {}, label);
    const groups = Map.groupBy(wanted, (spent) =>
      JSON.stringify([labelOf(spent), ...by.map((dimension) => spent[dimension])]),
    );
    return [...groups.values()].map((group) => {
      const dimensions = by.map((dimension) => [dimension, group[0]?.[dimension]]);
      const value = group[0] && labelOf(group[0]);
      return { ...Object.fromEntries(dimensions), ...withoutUndefined({ label: value }), ...totalOf(group) };
    });
  }

  async prune({ endedSince, turnsPerSession, events }: Retention): Promise<number> {
    this.#refuseIfClosed();
    this.#events.prune(events);
    this.#deliveries.prune(endedSince);
    const ended = [...this.#turns.values()].flatMap(({ id, session, endedAt }) =>
      endedAt === undefined ? [] : [{ id, session, endedAt }],
    );
    const bySession = Map.groupBy(ended, ({ session }) => session);
    const dropped = [...bySession.values()].flatMap((turns) =>
      turns
        .toReversed()
        .toSorted((one, other) => other.endedAt - one.endedAt)
        .filter(({ endedAt }, index) => endedAt < endedSince || index >= turnsPerSession),
    );
    for (const turn of dropped) this.#deleteTurn(turn);
    for (const { id, settledAt } of this.#approvals.values()) {
      if (settledAt !== undefined && settledAt < endedSince) this.#approvals.delete(id);
    }
    return dropped.length;
  }

  #make(change: Change): void {
    switch (change.type) {
      case "session_saved": {
        const { key, supervisor, conversationId, memory, savedAt } = change.session;
        const { description } = this.#sessions.get(key) ?? {};
        const saved = { key, supervisor, conversationId, memory: storedJson(memory), savedAt };
        this.#sessions.set(key, { ...saved, ...withoutUndefined({ description }) });
        break;
      }
      case "session_described": {
        const saved = this.#sessions.get(change.session);
        if (saved !== undefined) this.#sessions.set(saved.key, { ...saved, description: copy(change.description) });
        break;
      }
      case "session_forgotten":
        this.#forget(change.session);
        break;
      case "session_erased":
        this.#forget(change.session);
        this.#rename(change.session, change.as);
        break;
      case "conversation_left": {
        const { conversation } = change;
        const left = this.#left.get(conversation.session) ?? [];
        this.#left.set(conversation.session, [...left, copy(conversation)]);
        break;
      }
      case "conversation_erased": {
        const left = this.#left.get(change.session) ?? [];
        const others = left.filter(({ conversationId }) => conversationId !== change.conversationId);
        if (others.length > 0) this.#left.set(change.session, others);
        else this.#left.delete(change.session);
        this.#transcripts.forget(change.session, change.conversationId);
        break;
      }
      case "turn_accepted": {
        const { turn, begun } = change;
        if (this.#turns.has(turn.id)) break;
        const progress = begun === undefined ? QUEUED : runningSince(begun);
        this.#turns.set(turn.id, { ...copy(turn), ...progress });
        const unfinished = this.#unfinished.get(turn.session) ?? new Set<string>();
        this.#unfinished.set(turn.session, unfinished.add(turn.id));
        this.#name(turn, change.contents);
        break;
      }
      case "turn_withdrawn": {
        const turn = this.#turns.get(change.turn);
        if (turn?.attempts !== 0 || turn.endedAt !== undefined) break;
        this.#deleteTurn(turn);
        this.#finish(turn);
        break;
      }
      case "turn_begun":
        this.#changeTurn(change.turn, runningSince(change));
        break;
      case "turn_touched":
        this.#changeTurn(change.turn, { touched: true });
        break;
      case "turn_requeued": {
        const { position, attempts } = change;
        this.#changeTurn(change.turn, { state: "queued", position, ...withoutUndefined({ attempts }) });
        break;
      }
      case "turn_ended": {
        const { state, at, outcome } = change;
        this.#changeTurn(change.turn, { state, endedAt: at, outcome: copy(outcome) });
        break;
      }
      case "job_saved":
        this.#jobs.set(change.job.id, copy(change.job));
        break;
      case "job_added":
        if (!this.#jobs.has(change.job.id)) this.#jobs.set(change.job.id, copy(change.job));
        break;
      case "job_dropped":
        this.#jobs.delete(change.job);
        break;
      case "spent":
        for (const spending of withTurns(change.models, change.turns)) {
          const { supervisor, session, day } = change;
          this.#spend({ supervisor, session, day, ...spending });
        }
        break;
      case "approval_requested":
        if (!this.#approvals.has(change.approval.id)) this.#approvals.set(change.approval.id, copy(change.approval));
        break;
      case "approval_settled": {
        const approval = this.#approvals.get(change.approval);
        if (approval === undefined || approval.settledAt !== undefined) break;
        this.#approvals.set(approval.id, { ...approval, outcome: change.outcome, settledAt: change.at });
        break;
      }
      case "event_appended":
        this.#events.append(change);
        break;
      case "delivery_due":
      case "delivery_advanced":
      case "delivery_done":
        this.#deliveries.make(change);
        break;
      case "transcript_appended":
        this.#transcripts.append(change.part);
        break;
    }
  }

  #spend(spent: Spent): void {
    const { supervisor, session, model, day } = spent;
    const id = JSON.stringify([supervisor, session, model, day]);
    const before = this.#spent.get(id);
    this.#spent.set(id, before === undefined ? spent : { ...spent, ...totalOf([before, spent]) });
  }

  /** Moves spending from one key to another. */
  #rename(session: string, as: string): void {
    for (const [id, spent] of [...this.#spent]) {
      if (spent.session !== session) continue;
      this.#spent.delete(id);
      this.#spend({ ...spent, session: as });
    }
  }

  #changeTurn(id: string, changed: Partial<TurnEntry>): void {
    const turn = this.#turns.get(id);
    if (turn === undefined || turn.endedAt !== undefined) return;
    this.#turns.set(id, { ...turn, ...changed });
    if (changed.endedAt !== undefined) this.#finish(turn);
  }

  /** Stores the contents to which a turn refers. */
  #name({ id, session }: Pick<TurnEntry, "id" | "session">, contents: readonly ContentEntry[] = []): void {
    const hashes = [...new Set(contents.map(({ hash }) => hash))];
    if (hashes.length === 0) return;
    this.#named.set(id, hashes);
    this.#contents.add(session, hashes, contents);
  }

  #deleteTurn({ id, session }: Pick<TurnEntry, "id" | "session">): void {
    this.#turns.delete(id);
    this.#contents.release(session, this.#named.get(id) ?? []);
    this.#named.delete(id);
  }

  #finish({ id, session }: TurnEntry): void {
    const unfinished = this.#unfinished.get(session);
    unfinished?.delete(id);
    if (unfinished?.size === 0) this.#unfinished.delete(session);
  }

  #forget(key: string): void {
    this.#sessions.delete(key);
    this.#unfinished.delete(key);
    this.#left.delete(key);
    this.#events.forget(key);
    this.#deliveries.forget(key);
    this.#transcripts.forget(key);
    for (const turn of this.#turns.values()) if (turn.session === key) this.#deleteTurn(turn);
    for (const { id, session } of this.#approvals.values()) if (session === key) this.#approvals.delete(id);
    for (const { id, session } of this.#jobs.values()) if (session === key) this.#jobs.delete(id);
  }

  #refuseIfClosed(): void {
    if (this.#owner !== undefined) return;
    const message = "The in-memory journal is not open.";
    throw new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "failed", applied: false } });
  }
}

const QUEUED = { state: "queued", attempts: 0, touched: false } as const;

function runningSince({ attempt, promptId }: TurnBeginning) {
  return { state: "running", attempts: attempt, promptId, touched: false } as const;
}

/** Refuses a batch as a whole, before any of it is applied. */
function refuseInvalid(changes: readonly Change[]): void {
  try {
    for (const change of changes) if (change.type === "event_appended") requireStorable(change.event);
  } catch (cause) {
    const message = `The in-memory journal refuses a batch: ${cause instanceof Error ? cause.message : String(cause)}.`;
    throw new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "refused", applied: false }, cause });
  }
}

/** Returns the value as a disk would return it. */
function copy<Value>(value: Value): Value {
  return JSON.parse(JSON.stringify(value)) as Value;
}

function storedJson(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

function totalOf(group: readonly Spent[]): Spending & { readonly turns: number } {
  return { ...sumOf(group), turns: group.reduce((sum, { turns }) => sum + turns, 0) };
}
