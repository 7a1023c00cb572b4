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

/** A session that a supervisor holds. */
export interface Member {
  readonly key: string;
  readonly server: SessionServer;
  readonly session: Session;
  readonly owner: SessionOwner;
}

interface Entry extends Member {
  readonly registration: Registration;
  /** Stops listening to the scopes that end the session, which may live longer than it. */
  readonly unlisten: () => void;
  /** Takes the session out of the registry that it is named by, if it is. */
  leave?: () => void;
}

/** What the sessions of a table ask of their supervisor. */
export type Ownership = (member: { readonly server: SessionServer }) => SessionOwner;

/**
 * The sessions of a supervisor and of all supervisors below it, in the order in which they were added. Being in it means
 * to hold the name in the whole process.
 */
export class SessionTable {
  readonly #supervisor: string;
  readonly #journal: SupervisorJournal;
  readonly #resources: SharedResources;
  readonly #deps: SessionDeps;
  readonly #ownership: Ownership;
  readonly #entries = new Map<string, Entry>();
  /** The ends that somebody waits for, by the names of the sessions. */
  readonly #ends = new Map<string, PromiseWithResolvers<void>>();

  /** The name under which the journal has what the supervisor spends. */
  get journaledAs(): string {
    return this.#journal.supervisor;
  }

  constructor(
    supervisor: string,
    journal: SupervisorJournal,
    resources: SharedResources,
    deps: SessionDeps,
    ownership: Ownership,
  ) {
    this.#supervisor = supervisor;
    this.#journal = journal;
    this.#resources = resources;
    this.#deps = deps;
    this.#ownership = ownership;
  }

  get size(): number {
    return this.#entries.size;
  }

  find(name: SessionName): Member | undefined {
    return this.#entries.get(nameKey(name));
  }

  /** The session that a child of the tree with this id is. */
  ofChild(id: string): Member | undefined {
    return this.#entries.get(id);
  }

  /** Whether this very session, and not another one of its name, is held. */
  holds(server: SessionServer): boolean {
    return this.#entries.get(server.settings.key)?.server === server;
  }

  [Symbol.iterator](): IterableIterator<Member> {
    return this.#entries.values();
  }

  /**
   * Makes a session and takes its name.
   *
   * @throws CastellanError `SESSION_ALREADY_STARTED`, `INVALID_OPTIONS` if it would share what cannot be shared,
   * `KEY_ALREADY_REGISTERED`
   */
  add(settings: SessionSettings): Member {
    const { key, sdk } = settings;
    const server = new SessionServer(settings, this.#journal, this.#resources, this.#deps);
    const owner = this.#ownership({ server });
    const session = new Session(new SessionLookup({ server, owner }));
    const registration = { session, supervisor: this.#supervisor, exclusive: exclusiveOf(sdk) };
    registry.register(registration);
    try {
      server.claim();
    } catch (error) {
      registry.unregister(registration);
      throw error;
    }
    const abort = (): void => void owner.terminate({}).catch(() => {});
    const scopes = [sdk.abortController?.signal, settings.signal];
    for (const scope of scopes) scope?.addEventListener("abort", abort, { once: true });
    const unlisten = (): void => {
      for (const scope of scopes) scope?.removeEventListener("abort", abort);
    };
    const entry: Entry = { key, server, session, owner, registration, unlisten };
    this.#entries.set(key, entry);
    try {
      if (settings.registered !== undefined) entry.leave = settings.registered.enter(session);
    } catch (error) {
      this.release(server);
      throw error;
    }
    return entry;
  }

  /**
   * Has sessions take up what the journal knows of them; one of them may begin with what another one remembers instead.
   * Resolves with those that could not, and why.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async restore(
    members: readonly Member[],
    source?: SessionServer,
  ): Promise<{ readonly server: SessionServer; readonly error: CastellanError }[]> {
    for (const { key } of members) await this.#journal.erasures.over(key);
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

  /**
   * What the journal knows of each. Where something in it is no longer what was written, that concerns only the sessions whose it is.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE` if that concerns all, or the journal as a whole
   */
  async #read(keys: readonly string[]): Promise<Map<string, KnownSession | CastellanError>> {
    try {
      return await this.#journal.read(keys);
    } catch (error) {
      if (!isGarbled(error) || keys.length < 2) throw error;
      const known = new Map<string, KnownSession | CastellanError>();
      for (const key of keys) {
        known.set(
          key,
          await this.#journal.read([key]).then(
            (found) => found.get(key) ?? { turns: [] },
            (reason: unknown) => {
              if (isGarbled(reason)) return reason;
              throw reason;
            },
          ),
        );
      }
      if ([...known.values()].every(isGarbled)) throw error;
      return known;
    }
  }

  /** The keys of sessions that begin so and have turns that have not ended. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async unfinished(keyPrefix: string): Promise<string[]> {
    return await this.#journal.unfinished(keyPrefix);
  }

  /**
   * Has a session take up changed settings.
   *
   * @throws CastellanError `INVALID_OPTIONS` if it would share what cannot be shared; then nothing has changed
   */
  reconfigure(server: SessionServer, settings: SessionSettings): void {
    const entry = this.#entries.get(settings.key);
    if (entry?.server !== server) return;
    const registration = { ...entry.registration, exclusive: exclusiveOf(settings.sdk) };
    registry.replace(entry.registration, registration);
    this.#entries.set(entry.key, { ...entry, registration });
    server.reconfigure(settings);
  }

  /** Gives a session's name back. Whether it was this session's. */
  release(server: SessionServer): boolean {
    const entry = this.#entries.get(server.settings.key);
    if (entry?.server !== server) return false;
    this.#entries.delete(entry.key);
    registry.unregister(entry.registration);
    server.unclaim();
    entry.unlisten();
    entry.leave?.();
    if (!server.isEvicted) this.#ended(entry.key);
    return true;
  }

  /**
   * Resolves when a session has ended for good. One that was let go goes on for as long as its name brings it back.
   *
   * @param comesBack whether it would
   */
  closed(server: SessionServer, comesBack: () => boolean): Promise<void> {
    const { key } = server.settings;
    const goesOn = this.holds(server) || (server.isEvicted && (this.#entries.has(key) || comesBack()));
    if (!goesOn) return Promise.resolve();
    const end = this.#ends.get(key) ?? Promise.withResolvers<void>();
    this.#ends.set(key, end);
    return end.promise;
  }

  /** Sessions that begin so and have been let go do not come back. */
  abandon(keyPrefix: string): void {
    for (const key of [...this.#ends.keys()]) {
      if (key.startsWith(keyPrefix) && !this.#entries.has(key)) this.#ended(key);
    }
  }

  #ended(key: string): void {
    this.#ends.get(key)?.resolve();
    this.#ends.delete(key);
  }
}

/** Whether something cannot be read because of what stands there, which may be one row. */
function isGarbled(error: unknown): error is CastellanError {
  return CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details.reason === "damaged";
}
