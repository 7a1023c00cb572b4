import { endOrphans } from "../../claude/process-tree.ts";
import { systemClock } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import type { SessionName } from "../../names.ts";
import { nameKey } from "../../names.ts";
import type { SessionDeps } from "../../session/context/session-context.ts";
import type { SharedResources } from "../../session/context/shared-resources.ts";
import type { SessionSettings } from "../../session/options/session-settings.ts";
import type { KnownSession, SupervisorJournal } from "../../session/persistence/supervisor-journal.ts";
import { Session, type SessionOwner } from "../../session/session.ts";
import { SessionLookup } from "../../session/session-lookup.ts";
import { SessionServer } from "../../session/session-server.ts";
import { exclusiveOf, type Registration, registry } from "../names/registry.ts";
import { SessionOwnership, type SessionSupervisor } from "./session-ownership.ts";

/** A session of a supervisor's tree. */
export interface Member {
  readonly key: string;
  readonly server: SessionServer;
  readonly session: Session;
  readonly owner: SessionOwner;
}

interface Entry extends Member {
  readonly registration: Registration;
  /** Removes the listeners on the signals that terminate the session, if there are any; the signals may outlive it. */
  unlisten?: () => void;
  /** Unregisters the session from the registry that its name comes from, if any. */
  unregister?: () => void;
}

/**
 * The sessions of a supervisor and of all supervisors below it, in the order of their addition. A session in the table holds its
 * name in the whole process.
 */
export class SessionTable {
  readonly #supervisor: string;
  readonly journal: SupervisorJournal;
  readonly #resources: SharedResources;
  readonly #deps: SessionDeps;
  readonly #supervision: SessionSupervisor;
  readonly #entries = new Map<string, Entry>();
  /** Callers that wait for a session to end for good, by its key. */
  readonly #ends = new Map<string, PromiseWithResolvers<void>>();

  constructor(
    supervisor: string,
    journal: SupervisorJournal,
    resources: SharedResources,
    deps: SessionDeps,
    supervision: SessionSupervisor,
  ) {
    this.#supervisor = supervisor;
    this.journal = journal;
    this.#resources = resources;
    this.#deps = deps;
    this.#supervision = supervision;
  }

  get size(): number {
    return this.#entries.size;
  }

  find(name: SessionName): Member | undefined {
    return this.#entries.get(nameKey(name));
  }

  /** Returns the session of the tree's child with this id. */
  ofChild(id: string): Member | undefined {
    return this.#entries.get(id);
  }

  /** Whether the table contains this session, rather than another one of its name. */
  holds(server: SessionServer): boolean {
    return this.#entries.get(server.settings.key)?.server === server;
  }

  [Symbol.iterator](): IterableIterator<Member> {
    return this.#entries.values();
  }

  /**
   * Creates a session and takes its name.
   *
   * @throws CastellanError `SESSION_ALREADY_STARTED`; `INVALID_OPTIONS` if another session uses an exclusive value;
   * `KEY_ALREADY_REGISTERED`
   */
  add(settings: SessionSettings): Member {
    const { key, sdk } = settings;
    const server = new SessionServer(settings, this.journal, this.#resources, this.#deps);
    const owner = new SessionOwnership(this.#supervision, server);
    const session = new Session(new SessionLookup({ server, owner }));
    const registration = { session, supervisor: this.#supervisor, exclusive: exclusiveOf(sdk) };
    registry.register(registration);
    try {
      server.claim();
    } catch (error) {
      registry.unregister(registration);
      throw error;
    }
    const entry: Entry = { key, server, session, owner, registration };
    const scopes = [sdk.abortController?.signal, settings.signal].flatMap((scope) => scope ?? []);
    if (scopes.length > 0) entry.unlisten = terminateWith(scopes, owner);
    this.#entries.set(key, entry);
    try {
      if (settings.registered !== undefined) entry.unregister = settings.registered.enter(session);
    } catch (error) {
      this.release(server);
      throw error;
    }
    return entry;
  }

  /**
   * Restores sessions from the journal, or one of them from `source`. Resolves with those that failed.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async restore(
    members: readonly Member[],
    source?: SessionServer,
  ): Promise<{ readonly server: SessionServer; readonly error: CastellanError }[]> {
    for (const { key } of members) await this.journal.erasures.over(key);
    await this.#returned(members.filter(({ key }) => this.isLent(key)));
    const known = await this.#read(members.map(({ key }) => key));
    const outcomes = members.map(async ({ key, server }) => {
      try {
        const found = known.get(key) ?? { turns: [] };
        if (CastellanError.is(found)) throw found;
        await server.restore(found, source);
        return [];
      } catch (error) {
        if (!CastellanError.is(error)) throw error;
        return [{ server, error }];
      }
    });
    return (await Promise.all(outcomes)).flat();
  }

  /** Whether an earlier process of the application still has the session. */
  isLent(key: string): boolean {
    return this.journal.loans?.isLent(key) === true;
  }

  /** Waits until an earlier process of the application has returned sessions, or has died. */
  async #returned(members: readonly Member[]): Promise<void> {
    if (members.length === 0) return;
    await Promise.all(members.map(({ key }) => this.journal.loans?.over(key)));
    // Its processes may outlive it for a moment. A failed search does not prevent the start.
    await endOrphans(systemClock).catch(() => {});
    await this.journal.reload(members.map(({ key }) => key));
  }

  /**
   * Reads what the journal has of each session. A damaged record fails only the sessions that it belongs to.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE` if all sessions or the whole journal are affected
   */
  async #read(keys: readonly string[]): Promise<Map<string, KnownSession | CastellanError>> {
    try {
      return await this.journal.read(keys);
    } catch (error) {
      if (!isDamaged(error) || keys.length < 2) throw error;
      const known = new Map<string, KnownSession | CastellanError>();
      for (const key of keys) {
        known.set(
          key,
          await this.journal.read([key]).then(
            (found) => found.get(key) ?? { turns: [] },
            (reason: unknown) => {
              if (isDamaged(reason)) return reason;
              throw reason;
            },
          ),
        );
      }
      if ([...known.values()].every(isDamaged)) throw error;
      return known;
    }
  }

  /** Returns the keys of sessions with this prefix that have unfinished turns. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async unfinished(keyPrefix: string): Promise<string[]> {
    return await this.journal.unfinished(keyPrefix);
  }

  /**
   * Gives a session other settings.
   *
   * @throws CastellanError `INVALID_OPTIONS` if another session uses an exclusive value; nothing has changed then
   */
  reconfigure(server: SessionServer, settings: SessionSettings): void {
    const entry = this.#entries.get(settings.key);
    if (entry?.server !== server) return;
    const registration = { ...entry.registration, exclusive: exclusiveOf(settings.sdk) };
    registry.replace(entry.registration, registration);
    this.#entries.set(entry.key, { ...entry, registration });
    server.reconfigure(settings);
  }

  /** Releases a session's name. Returns whether the session held it. */
  release(server: SessionServer): boolean {
    const entry = this.#entries.get(server.settings.key);
    if (entry?.server !== server) return false;
    this.#entries.delete(entry.key);
    registry.unregister(entry.registration);
    server.unclaim();
    entry.unlisten?.();
    entry.unregister?.();
    if (!server.isEvicted) this.#resolveEnd(entry.key);
    return true;
  }

  /**
   * Resolves when a session has ended for good. An evicted session has not ended while its name can bring it back.
   *
   * @param comesBack whether the name can bring it back
   */
  closed(server: SessionServer, comesBack: () => boolean): Promise<void> {
    const { key } = server.settings;
    const goesOn = this.holds(server) || (server.isEvicted && (this.#entries.has(key) || comesBack()));
    if (!goesOn) return Promise.resolve();
    const end = this.#ends.get(key) ?? Promise.withResolvers<void>();
    this.#ends.set(key, end);
    return end.promise;
  }

  /** Ends evicted sessions with this prefix for good. */
  abandon(keyPrefix: string): void {
    for (const key of [...this.#ends.keys()]) {
      if (key.startsWith(keyPrefix) && !this.#entries.has(key)) this.#resolveEnd(key);
    }
  }

  #resolveEnd(key: string): void {
    this.#ends.get(key)?.resolve();
    this.#ends.delete(key);
  }
}

/** Terminates a session when one of these signals aborts. Returns a function that removes the listeners. */
function terminateWith(scopes: readonly AbortSignal[], owner: SessionOwner): () => void {
  const abort = (): void => void owner.terminate({}).catch(() => {});
  for (const scope of scopes) scope.addEventListener("abort", abort, { once: true });
  return () => {
    for (const scope of scopes) scope.removeEventListener("abort", abort);
  };
}

/** Whether the journal's content is damaged, possibly in a single row. */
function isDamaged(error: unknown): error is CastellanError {
  return CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details.reason === "damaged";
}
