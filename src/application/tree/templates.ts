import type { Spares } from "../../capacity/spares.ts";
import { type Clock, pause, type Timer } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import { keyPrefix, nameKey, nameOfKey, nameProblem, type SessionName } from "../../names.ts";
import { paced } from "../../paced.ts";
import type { SessionSettings } from "../../session/options/session-settings.ts";
import { shapeOf } from "../../session/options/session-settings.ts";
import type { SessionServer } from "../../session/session-server.ts";
import { registry } from "../names/registry.ts";
import type { SessionPlan, TemplatePlan } from "../options/child-options.ts";
import type { Branch } from "./branch.ts";
import type { Member, SessionTable } from "./session-table.ts";

/** The longest interval between two searches for sessions to evict; otherwise twice per retention. */
const MAX_INTERVAL_MS = 3_600_000;

/** How long a start waits before it tries again to find room for a session with unfinished turns. */
const RETRY_MS = 1_000;

/** How often to search for schedules of sessions that are not in memory. A session stays in memory for twice as long before a run. */
const SCHEDULE_CHECK_MS = 60_000;

/** The share of `maxHibernated` to evict at a time, so that not every new name causes a search. */
const EVICTED_SHARE = 0.1;

/** What the templates of a tree need of it. */
export interface TemplatesDeps {
  readonly clock: Clock;
  readonly sessions: SessionTable;
  readonly spares: Spares;
  readonly supervisor: string;
  /** Resolves once the tree has started. */
  opened(): Promise<void>;
  /** Returns the keys of sessions with this prefix that have unfinished turns. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  unfinished(keyPrefix: string): Promise<string[]>;
  /** Returns the keys of sessions with this prefix that have a schedule due by `until`. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  due(keyPrefix: string, until: number): Promise<string[]>;
  /** Throws if no session may start any more. */
  refuseIfEnding(): void;
  /** Takes a session to the process of the application that has the sessions, if that is another one. */
  away(): ((server: SessionServer) => void) | undefined;
}

/** A template of the tree. */
interface TemplateEntry {
  readonly branch: Branch;
  plan: TemplatePlan;
  readonly sessions: Map<string, SessionServer>;
  readonly unregister: () => void;
  /** The number of sessions created since the last search for hibernated sessions to evict. */
  added: number;
  timer?: Timer | undefined;
  /** The next search for due schedules. */
  schedules?: Timer | undefined;
}

/** The templates of a tree, and the sessions that they have created. */
export class Templates {
  readonly #deps: TemplatesDeps;
  readonly #entries = new Map<string, TemplateEntry>();
  /** Sessions that are being evicted, by key. Their names are free, but a new session of the name must wait for the eviction. */
  readonly #evicting = new Map<string, Promise<void>>();
  /** The sources of sessions that are being forked, by the key of the new one. */
  readonly #sources = new Map<string, SessionServer>();

  constructor(deps: TemplatesDeps) {
    this.#deps = deps;
  }

  /** Takes the names of a template. @throws CastellanError `SESSION_ALREADY_STARTED` */
  add(plan: TemplatePlan, branch: Branch): void {
    const find = (name: SessionName): Member["session"] | undefined => this.find(name)?.session;
    const unregister = registry.registerTemplate(plan.id, { supervisor: this.#deps.supervisor, find });
    this.#entries.set(plan.id, { branch, plan, sessions: new Map(), unregister, added: 0 });
    this.#keepSpare(plan);
  }

  /**
   * Creates the sessions that have unfinished turns in the journal, as soon as there is room for them. Call it once the tree has
   * started.
   */
  resumeUnfinished(id: string): void {
    // Unfinished turns that cannot be read now are read when their session is named.
    void this.#resumeUnfinished(id).catch(() => {});
  }

  /** Brings back, from now on, the sessions that have a schedule due soon. Call it once the tree has started. */
  watchSchedules(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const look = (): void => {
      if (this.#entries.get(id) !== entry) return;
      // Schedules that cannot be read now are read the next time.
      void this.#resumeScheduled(id).catch(() => {});
      entry.schedules = this.#deps.clock.schedule(SCHEDULE_CHECK_MS, look, { background: true });
    };
    look();
  }

  async #resumeScheduled(id: string): Promise<void> {
    if (this.#deps.away() !== undefined) return;
    const until = this.#deps.clock.now() + 2 * SCHEDULE_CHECK_MS;
    for (const key of await this.#deps.due(keyPrefix(id), until)) {
      const name = nameOfKey(key);
      if (this.#entries.has(id) && this.#deps.sessions.find(name) === undefined) this.#tryCreate(name);
    }
  }

  /** Applies a changed plan. The reconciliation itself changes the options of the sessions. */
  revise(plan: TemplatePlan): void {
    const entry = this.#entries.get(plan.id);
    if (entry === undefined) return;
    entry.plan = plan;
    this.#watch(entry);
    this.#keepSpare(plan);
  }

  /** Keeps a spare for the next new session, if it is known what options that will have. */
  #keepSpare({ id, common }: TemplatePlan): void {
    this.#deps.spares.keep(id, common === undefined ? undefined : shapeOf(common));
  }

  /** Releases a template's names. Its sessions stay until they are terminated. */
  remove(id: string): void {
    const entry = this.#entries.get(id);
    entry?.unregister();
    entry?.timer?.cancel();
    entry?.schedules?.cancel();
    this.#entries.delete(id);
    this.#deps.spares.keep(id, undefined);
    this.#deps.sessions.abandon(keyPrefix(id));
  }

  /** Resolves once no eviction of this session is pending. */
  async evicted(key: string): Promise<void> {
    await this.#evicting.get(key);
  }

  close(): void {
    for (const id of [...this.#entries.keys()]) this.remove(id);
  }

  /** Whether a template covers this name. */
  covers(name: SessionName): boolean {
    return typeof name !== "string" && this.#entries.has(name[0]);
  }

  /**
   * Returns the session of this name and creates it if needed; undefined if no template covers the name.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `TEMPLATE_FULL`, `SUPERVISOR_STOPPED`
   */
  find(name: SessionName): Member | undefined {
    const [first, ...key] = typeof name === "string" || nameProblem(name) !== undefined ? [] : name;
    const entry = first === undefined || key.length === 0 ? undefined : this.#entries.get(first);
    if (entry === undefined) return undefined;
    const away = this.#deps.away();
    if (away !== undefined) {
      const member = this.#deps.sessions.add(entry.plan.session(name).settings);
      away(member.server);
      return member;
    }
    this.#deps.refuseIfEnding();
    const source = this.#sources.get(nameKey(name));
    const plan = planOf(entry.plan.session(name), source);
    this.#evictIfFull(entry);
    if (++entry.added > entry.plan.maxHibernated * EVICTED_SHARE) this.#evictExcess(entry);
    const member = this.#deps.sessions.add(plan.settings);
    entry.sessions.set(plan.id, member.server);
    this.#watch(entry);
    void this.#begin(entry, plan, member, source);
    return member;
  }

  /**
   * Has the session of this name begin with a copy of the conversation of `source` if it is created before the returned
   * function is called.
   */
  fork(name: SessionName, source: SessionServer): () => void {
    const key = nameKey(name);
    this.#sources.set(key, source);
    return () => {
      if (this.#sources.get(key) === source) this.#sources.delete(key);
    };
  }

  /**
   * Returns the settings of a session by its name; undefined if no template covers the name. @throws anything that the template's
   * function throws
   */
  settingsOf(name: SessionName): SessionSettings | undefined {
    const entry = typeof name === "string" ? undefined : this.#entries.get(name[0]);
    return entry?.plan.session(name).settings;
  }

  async #resumeUnfinished(id: string): Promise<void> {
    await paced(await this.#deps.unfinished(keyPrefix(id)), async (key) => {
      const name = nameOfKey(key);
      const isHere = (): boolean => this.#deps.away() === undefined;
      while (
        this.#entries.has(id) &&
        isHere() &&
        this.#deps.sessions.find(name) === undefined &&
        !this.#tryCreate(name)
      ) {
        await pause(this.#deps.clock, RETRY_MS, { background: true });
      }
    });
  }

  /** Creates a session. Returns false if the template is full. Invalid options are reported to the caller that names the session. */
  #tryCreate(name: SessionName): boolean {
    try {
      this.find(name);
      return true;
    } catch (error) {
      return !CastellanError.is(error, "TEMPLATE_FULL");
    }
  }

  async #begin(
    { branch, sessions }: TemplateEntry,
    plan: SessionPlan,
    member: Member,
    source: SessionServer | undefined,
  ): Promise<void> {
    const { sessions: table, opened } = this.#deps;
    const { server } = member;
    try {
      await opened();
      await this.#evicting.get(plan.id);
      const [failed] = await table.restore([member], source);
      if (failed !== undefined) throw failed.error;
      // Its owner may have terminated it in the meantime.
      if (table.holds(server)) await branch.add(plan);
    } catch (error) {
      if (CastellanError.is(error)) server.dismiss(error);
      server.close("session");
      table.release(server);
      if (sessions.get(plan.id) === server) sessions.delete(plan.id);
    }
  }

  #evictIfFull(entry: TemplateEntry): void {
    const { maxSessions, id } = entry.plan;
    if (entry.sessions.size < maxSessions) return;
    this.#prune(entry);
    if (entry.sessions.size < maxSessions) return;
    const [oldest] = this.#hibernated(entry);
    if (oldest !== undefined) {
      this.#evict(entry, oldest.server);
      return;
    }
    const message = `Template ${JSON.stringify(id)} has ${maxSessions} sessions, which is its \`maxSessions\`, and none of them hibernates. Retry later.`;
    throw new CastellanError("TEMPLATE_FULL", message, { details: { template: id, maxSessions } });
  }

  /** Evicts the sessions that have hibernated longest if there are more than `maxHibernated`, and a few more. */
  #evictExcess(entry: TemplateEntry): void {
    const { maxHibernated } = entry.plan;
    entry.added = 0;
    if (entry.sessions.size <= maxHibernated) return;
    const hibernated = this.#hibernated(entry);
    if (hibernated.length <= maxHibernated) return;
    const stay = Math.floor(maxHibernated * (1 - EVICTED_SHARE));
    for (const { server } of hibernated.slice(0, hibernated.length - stay)) this.#evict(entry, server);
  }

  /** Returns the sessions that can be evicted, the longest hibernated first. */
  #hibernated({ sessions }: TemplateEntry): { readonly server: SessionServer; readonly since: number }[] {
    const hibernated = [...sessions.values()].flatMap((server) => {
      const since = server.hibernatedSince;
      return since === undefined ? [] : [{ server, since }];
    });
    return hibernated.sort((one, other) => one.since - other.since);
  }

  /** Forgets sessions that have been terminated. */
  #prune({ sessions }: TemplateEntry): void {
    for (const [key, server] of sessions) if (!this.#deps.sessions.holds(server)) sessions.delete(key);
  }

  /** Evicts a session without a process. Its record stays in the journal, and its name is free at once. */
  #evict({ branch, sessions }: TemplateEntry, server: SessionServer): void {
    const { key } = server.settings;
    server.evict();
    this.#deps.sessions.release(server);
    sessions.delete(key);
    branch.deletePlan(key);
    const gone = removeChild(branch, key).finally(() => {
      if (this.#evicting.get(key) === gone) this.#evicting.delete(key);
    });
    this.#evicting.set(key, gone);
  }

  #watch(entry: TemplateEntry): void {
    const { retentionMs } = entry.plan;
    if (entry.timer !== undefined) return;
    const everyMs = Math.min(MAX_INTERVAL_MS, Math.max(1, retentionMs / 2));
    const search = (): void => {
      entry.timer = undefined;
      this.#prune(entry);
      const until = this.#deps.clock.monotonic() - entry.plan.retentionMs;
      for (const { server, since } of this.#hibernated(entry)) if (since <= until) this.#evict(entry, server);
      this.#evictExcess(entry);
      if (entry.sessions.size > 0) this.#watch(entry);
    };
    entry.timer = this.#deps.clock.schedule(everyMs, search, { background: true });
  }
}

async function removeChild(branch: Branch, key: string): Promise<void> {
  await branch.opened();
  await branch.tree?.terminateChild(key).catch(() => {});
  await branch.tree?.deleteChild(key).catch(() => {});
}

/** Returns the plan of a session, or of one that begins with a copy of the conversation of `source`. */
function planOf(plan: SessionPlan, source: SessionServer | undefined): SessionPlan {
  if (source === undefined) return plan;
  const { settings } = plan;
  return { ...plan, settings: { ...settings, sdk: { ...settings.sdk, ...source.forkOptions(true) } } };
}
