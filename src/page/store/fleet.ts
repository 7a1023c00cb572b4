import { batch, type Signal, signal } from "@preact/signals";
import { CastellanApiError } from "../../client/index.ts";
import type { Approval } from "../../wire/approval.ts";
import type { SessionInfo, SessionListQuery } from "../../wire/session.ts";
import type { CapacityStatus, ServerInfo } from "../../wire/supervisor.ts";
import type { SupervisorEvent } from "../../wire/supervisor-event.ts";
import { type FleetRow, rowOf } from "./fleet-row.ts";
import { LIVE_TYPES, sessionOf } from "./live-events.ts";
import { isGlobalName, keyOf, type Name, nameOfKey } from "./name.ts";
import { exitOfEvent, exitOfStatus, lastHour, type RecentExit } from "./recent-exits.ts";
import type { ServerLink } from "./server-link.ts";
import { readUsage } from "./usage.ts";

/** What has been spent since midnight, in UTC. */
export interface Spending {
  readonly costUsd: number;
  readonly tokens: number;
}

type Settled = Extract<SupervisorEvent, { type: "approval:settle" }>;

/** Changes are shown together after this time. */
const FLUSH_MS = 120;
/** More changed sessions than these are read as pages, not one by one. */
const MANY = 200;
/** How many requests for sessions run at a time. */
const PARALLEL = 4;
/** How often the numbers without events, such as memory, are read again. */
const REFRESH_MS = 30_000;
const REFRESH_MANY_MS = 120_000;
const POLL_MS = 5_000;
/** How often to ask for a server that is away. */
const RETRY_MS = 1_000;
/** A tab that has heard nothing for so long connects again as soon as it is seen. */
const STALE_MS = 30_000;

/** The sessions of the server, kept up to date. */
export class Fleet {
  readonly rows: Signal<ReadonlyMap<string, FleetRow>> = signal<ReadonlyMap<string, FleetRow>>(new Map());
  /** Whether all sessions have been read once. */
  readonly complete: Signal<boolean> = signal(false);
  readonly failure: Signal<string | undefined> = signal<string | undefined>(undefined);
  readonly server: Signal<ServerInfo | undefined> = signal<ServerInfo | undefined>(undefined);
  readonly capacity: Signal<CapacityStatus | undefined> = signal<CapacityStatus | undefined>(undefined);
  readonly spending: Signal<Spending | undefined> = signal<Spending | undefined>(undefined);
  readonly approvals: Signal<readonly Approval[]> = signal<readonly Approval[]>([]);
  /** Whether the approvals have been read once. */
  readonly approvalsRead: Signal<boolean> = signal(false);
  /** The last approval that was settled. */
  readonly settled: Signal<Settled | undefined> = signal<Settled | undefined>(undefined);
  readonly exits: Signal<readonly RecentExit[]> = signal<readonly RecentExit[]>([]);
  /** The time, every second while the page is seen. */
  readonly now: Signal<number> = signal(Date.now());

  readonly #link: ServerLink;
  readonly #dirty = new Set<string>();
  /** Those of the changed sessions that have stopped, and may be gone. */
  readonly #stopped = new Set<string>();
  #run = new AbortController();
  #loading: Promise<void> | undefined;
  #flushing: ReturnType<typeof setTimeout> | undefined;
  #loadedAt = 0;
  #numbersStale = false;
  #globalApprovals: readonly Approval[] = [];

  constructor(link: ServerLink) {
    this.#link = link;
  }

  /** Begins to follow the server. */
  start(): void {
    void this.#follow(this.#run.signal);
    setInterval(() => this.#tick(), 1_000);
    const seen = (): void => {
      if (document.visibilityState === "visible") this.#seen();
    };
    document.addEventListener("visibilitychange", seen);
    globalThis.addEventListener("online", () => this.restart());
    // Any request may have failed: whether the server is away, the first answer to this tells.
    this.#link.state.subscribe((state) => {
      if (state === "lost") queueMicrotask(() => this.restart());
    });
    globalThis.addEventListener("pageshow", seen);
  }

  /** Connects again, and reads everything again. */
  restart(): void {
    this.#run.abort();
    this.#run = new AbortController();
    void this.#follow(this.#run.signal);
  }

  /** Reads a session again soon. */
  touch(name: Name): void {
    this.#dirty.add(keyOf(name));
    this.#flushing ??= setTimeout(() => void this.#flush(), FLUSH_MS);
  }

  /** Reads the approvals again, in a cluster those of all nodes. Other nodes have no events here. */
  async readApprovals(): Promise<void> {
    try {
      this.#takeApprovals(await this.#approvals(this.#run.signal, true));
    } catch {
      // The stream tells when the server is back, and everything is read again.
    }
  }

  #takeApprovals(approvals: readonly Approval[]): void {
    this.approvals.value = approvals;
    this.approvalsRead.value = true;
  }

  /** Returns the approvals. `all`: asks each node of a cluster, which is too much work for every event. */
  async #approvals(ends: AbortSignal, all: boolean): Promise<readonly Approval[]> {
    const global = all && this.server.peek()?.inCluster === true;
    const read = await this.#link.client.approvals(global ? { global } : {}, { signal: ends });
    if (global) this.#globalApprovals = read.filter(({ session }) => isGlobalName(session));
    const known = global ? read : [...read, ...this.#globalApprovals];
    return known.toSorted((one, other) => one.requestedAt - other.requestedAt);
  }

  #seen(): void {
    this.now.value = Date.now();
    if (Date.now() - this.#link.answeredAt > STALE_MS && this.#link.state.value !== "login") this.restart();
  }

  #tick(): void {
    if (document.visibilityState !== "visible") return;
    this.now.value = Date.now();
    const { value: state } = this.#link.state;
    const usual = this.rows.peek().size > 1_000 ? REFRESH_MANY_MS : REFRESH_MS;
    const due = state === "polling" ? Math.max(POLL_MS, usual / 6) : usual;
    if ((state === "live" || state === "polling") && Date.now() - this.#loadedAt > due) this.#reload();
  }

  /** Follows the events of the server until it is aborted. */
  async #follow(ends: AbortSignal): Promise<void> {
    try {
      this.server.value = await this.#serverWhenThere(ends);
      if (!this.#seesAll()) {
        this.#link.enter("polling");
        this.#reload();
        return;
      }
      for await (const event of this.#link.client.events({ types: LIVE_TYPES }, { signal: ends })) {
        if (event.type === "opened") this.#opened();
        else this.#take(event);
      }
    } catch (error) {
      if (!ends.aborted) this.#refused(error);
    }
  }

  /** Asks until the server answers: the client tries a request only three times. */
  async #serverWhenThere(ends: AbortSignal): Promise<ServerInfo> {
    for (;;) {
      try {
        return await this.#link.client.server({ signal: ends });
      } catch (error) {
        if (ends.aborted || !(error instanceof CastellanApiError) || !error.retryable) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        ends.throwIfAborted();
      }
    }
  }

  #opened(): void {
    this.#link.enter("live");
    this.#reload();
  }

  /** Whether the user has a scope, such as `operate`. */
  may(scope: string): boolean {
    return this.server.value?.caller.scopes.includes(scope) === true;
  }

  /** Whether the user sees all sessions, and so what concerns them together. */
  #seesAll(): boolean {
    const caller = this.server.peek()?.caller;
    return caller !== undefined && caller.prefix === undefined && caller.labels === undefined;
  }

  #refused(error: unknown): void {
    if (error instanceof CastellanApiError && error.status !== 401) this.failure.value = error.message;
  }

  #take(event: SupervisorEvent): void {
    const exit = exitOfEvent(event);
    if (exit !== undefined) this.exits.value = lastHour([exit, ...this.exits.peek()], Date.now());
    if (event.type === "turn:end") this.#spend(event);
    if (event.type === "approval:settle") this.settled.value = event;
    this.#numbersStale = true;
    const name = sessionOf(event);
    if (name === undefined) return;
    if (event.type === "session:stop") this.#stopped.add(keyOf(name));
    this.touch(name);
  }

  #spend({ costUsd = 0, usage }: Extract<SupervisorEvent, { type: "turn:end" }>): void {
    const before = this.spending.peek();
    if (before === undefined) return;
    const tokens = (usage?.inputTokens ?? 0) + (usage?.outputTokens ?? 0);
    this.spending.value = { costUsd: before.costUsd + costUsd, tokens: before.tokens + tokens };
  }

  /** Reads everything again, unless that is under way. */
  #reload(): void {
    this.#loading ??= this.#load(this.#run.signal)
      .then(() => {
        this.failure.value = undefined;
      })
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#loading = undefined;
        this.#loadedAt = Date.now();
      });
  }

  #failed(error: unknown): void {
    if (error instanceof CastellanApiError && error.status !== 401 && error.status !== 0) {
      this.failure.value = error.message;
    }
  }

  async #load(ends: AbortSignal): Promise<void> {
    this.server.value = await this.#link.client.server({ signal: ends });
    const rows = new Map<string, FleetRow>();
    const known = this.rows.peek();
    const add = (session: SessionInfo): void => {
      const row = rowOf(session);
      rows.set(row.key, row);
    };
    let after: SessionListQuery = { limit: 200 };
    for (;;) {
      const page = await this.#link.client.listSessions(after, { signal: ends });
      page.sessions.forEach(add);
      // At the first time, what has come is shown at once.
      if (!this.complete.peek()) this.rows.value = new Map(rows);
      if (page.next === null) break;
      after = { after: page.next, limit: 1_000 };
    }
    if (this.server.value.inCluster) {
      for await (const { name } of this.#link.client.globalSessions({}, { signal: ends })) {
        const row = known.get(keyOf(name));
        if (row !== undefined) rows.set(row.key, row);
        else this.touch(name);
      }
    }
    const seen = [...rows.values()].flatMap(({ info }) => exitOfStatus(info) ?? []);
    batch(() => {
      this.rows.value = rows;
      this.complete.value = true;
      this.exits.value = lastHour([...this.exits.peek(), ...seen], Date.now());
    });
    await this.#readNumbers(ends, true);
  }

  /** Reads what concerns all sessions, for users who see all, and the approvals that the user reaches. */
  async #readNumbers(ends: AbortSignal, all: boolean): Promise<void> {
    if (!this.#seesAll()) {
      this.#takeApprovals(await this.#approvals(ends, all));
      return;
    }
    const { client } = this.#link;
    const since = new Date().toISOString().slice(0, 10);
    const global = this.server.value?.inCluster === true;
    const [capacity, reports, approvals] = await Promise.all([
      client.capacity({ signal: ends }),
      // A node without a lease cannot read the spending of global sessions: the page keeps what it has.
      all ? readUsage(client, { since }, global, ends).catch(unlessUnavailable) : undefined,
      this.#approvals(ends, all),
    ]);
    batch(() => {
      this.capacity.value = capacity;
      this.#takeApprovals(approvals);
      if (reports !== undefined) {
        const tokens = reports.reduce((sum, { usage }) => sum + usage.inputTokens + usage.outputTokens, 0);
        this.spending.value = { costUsd: reports.reduce((sum, { costUsd }) => sum + costUsd, 0), tokens };
      }
    });
  }

  /** Reads the changed sessions. */
  async #flush(): Promise<void> {
    const keys = [...this.#dirty];
    this.#dirty.clear();
    try {
      await this.#loading;
      if (keys.length > MANY) this.#reload();
      else await this.#readSessions(keys);
      if (this.#numbersStale) {
        this.#numbersStale = false;
        await this.#readNumbers(this.#run.signal, false);
      }
    } catch {
      // The stream tells when the server is back, and everything is read again.
    }
    this.#flushing = this.#dirty.size === 0 ? undefined : setTimeout(() => void this.#flush(), FLUSH_MS);
  }

  async #readSessions(keys: readonly string[]): Promise<void> {
    const found = new Map<string, SessionInfo | undefined>();
    const left = [...keys];
    const work = async (): Promise<void> => {
      for (let key = left.pop(); key !== undefined; key = left.pop()) {
        const name = nameOfKey(key);
        if (name === undefined) continue;
        found.set(key, await this.#read(name, this.#stopped.delete(key)));
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, work));
    const rows = new Map(this.rows.peek());
    for (const [key, info] of found) {
      if (info === undefined) rows.delete(key);
      else rows.set(key, rowOf(info));
    }
    this.rows.value = rows;
  }

  /** Reads a session. One that may be gone is looked for in the list: browsers log each 404 as an error. */
  async #read(name: Name, mayBeGone: boolean): Promise<SessionInfo | undefined> {
    const { client } = this.#link;
    const options = { signal: this.#run.signal };
    if (!mayBeGone || isGlobalName(name)) return await client.session(name).get(options).catch(notThere);
    const { sessions } = await client.listSessions({ prefix: name, limit: 1 }, options);
    return sessions.find((session) => keyOf(session.name) === keyOf(name));
  }
}

function unlessUnavailable(error: unknown): undefined {
  if (error instanceof CastellanApiError && error.status === 503) return undefined;
  throw error;
}

function notThere(error: unknown): undefined {
  if (error instanceof CastellanApiError && error.status === 404) return undefined;
  throw error;
}
