import { setImmediate as nextRound } from "node:timers/promises";
import type { Spares } from "../../capacity/spares.ts";
import { type Clock, pause, type Timer } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import { keyPrefix, nameOfKey, nameProblem, type SessionName } from "../../names.ts";
import type { SessionSettings } from "../../session/options/session-settings.ts";
import { shapeOf } from "../../session/options/session-settings.ts";
import type { SessionServer } from "../../session/session-server.ts";
import { registry } from "../names/registry.ts";
import type { SessionPlan, TemplatePlan } from "../options/child-options.ts";
import type { Branch } from "./branch.ts";
import type { Member, SessionTable } from "./session-table.ts";

/** How often it is looked for sessions whose time is over: twice in that time, and once an hour at the least. */
const LOOK_MS = 3_600_000;

/** How long a session that is at work waits, after a start, for one of its family to be let go. */
const ROOM_MS = 1_000;

/** How many sessions come to life one after the other before others have a turn of the event loop. */
const AT_ONCE = 16;

/** What part of those that may hibernate is let go at a time, so that it need not be looked for them at every new name. */
const THINNED = 0.1;

/** What the templates of a tree ask of it. */
export interface TemplatesDeps {
  readonly clock: Clock;
  readonly sessions: SessionTable;
  readonly spares: Spares;
  readonly supervisor: string;
  /** Resolves when the tree has been started. */
  opened(): Promise<void>;
  /** The keys of sessions that begin so and have turns that have not ended. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  unfinished(keyPrefix: string): Promise<string[]>;
  /** Throws if no session may begin any more. */
  refuseIfEnding(): void;
}

/** A template in its place in the tree. */
interface TemplateEntry {
  readonly branch: Branch;
  plan: TemplatePlan;
  readonly sessions: Map<string, SessionServer>;
  readonly unregister: () => void;
  /** How many have come to life since it was last looked whether too many hibernate. */
  added: number;
  timer?: Timer | undefined;
}

/** The templates of a tree, and the sessions that have come to life by them. */
export class Templates {
  readonly #deps: TemplatesDeps;
  readonly #entries = new Map<string, TemplateEntry>();
  /** Sessions that are being let go, by key; their names are free, and what takes them has to wait for this. */
  readonly #leaving = new Map<string, Promise<void>>();

  constructor(deps: TemplatesDeps) {
    this.#deps = deps;
  }

  /** Takes the names of a template. @throws CastellanError `SESSION_ALREADY_STARTED` */
  add(plan: TemplatePlan, branch: Branch): void {
    const find = (name: SessionName): Member["session"] | undefined => this.find(name)?.session;
    const unregister = registry.registerTemplate(plan.id, { supervisor: this.#deps.supervisor, find });
    this.#entries.set(plan.id, { branch, plan, sessions: new Map(), unregister, added: 0 });
    // Whoever is the first of it need not wait either.
    if (plan.common !== undefined) this.#deps.spares.expect(shapeOf(plan.common));
  }

  /**
   * Has those of its sessions come to life that had something to do when the application ended, as soon as there is room for
   * them. To be called when the tree has been started.
   */
  takeUp(id: string): void {
    // What cannot be read now is read when a session is named.
    void this.#takeUp(id).catch(() => {});
  }

  /** Goes on with a changed template; its sessions are changed by the reconciliation itself. */
  revise(plan: TemplatePlan): void {
    const entry = this.#entries.get(plan.id);
    if (entry === undefined) return;
    entry.plan = plan;
    this.#watch(entry);
  }

  /** Gives the names back. Its sessions stay, until somebody ends them. */
  remove(id: string): void {
    const entry = this.#entries.get(id);
    entry?.unregister();
    entry?.timer?.cancel();
    this.#entries.delete(id);
    this.#deps.sessions.abandon(keyPrefix(id));
  }

  /** Resolves when a session that was let go is gone with all that it was to write. */
  async left(key: string): Promise<void> {
    await this.#leaving.get(key);
  }

  close(): void {
    for (const id of [...this.#entries.keys()]) this.remove(id);
  }

  /** Whether there is a template for this name. */
  covers(name: SessionName): boolean {
    return typeof name !== "string" && this.#entries.has(name[0]);
  }

  /**
   * Has the session of this name come to life, if there is a template for it.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `TEMPLATE_FULL`, `SUPERVISOR_STOPPED`
   */
  find(name: SessionName): Member | undefined {
    const [first, ...key] = typeof name === "string" || nameProblem(name) !== undefined ? [] : name;
    const entry = first === undefined || key.length === 0 ? undefined : this.#entries.get(first);
    if (entry === undefined) return undefined;
    this.#deps.refuseIfEnding();
    const plan = entry.plan.session(name);
    this.#makeRoom(entry);
    if (++entry.added > entry.plan.maxHibernated * THINNED) this.#thin(entry);
    const member = this.#deps.sessions.add(plan.settings);
    entry.sessions.set(plan.id, member.server);
    this.#watch(entry);
    void this.#begin(entry, plan, member);
    return member;
  }

  /** The settings that the session of this name has, if there is a template for it. @throws whatever its function throws */
  settingsOf(name: SessionName): SessionSettings | undefined {
    const entry = typeof name === "string" ? undefined : this.#entries.get(name[0]);
    return entry?.plan.session(name).settings;
  }

  async #takeUp(id: string): Promise<void> {
    for (const [index, key] of (await this.#deps.unfinished(keyPrefix(id))).entries()) {
      const name = nameOfKey(key);
      if (index % AT_ONCE === AT_ONCE - 1) await nextRound();
      while (this.#entries.has(id) && this.#deps.sessions.find(name) === undefined && !this.#comes(name)) {
        await pause(this.#deps.clock, ROOM_MS, { background: true });
      }
    }
  }

  /** Whether there is room for it. One whose options are wrong says so to whoever names it. */
  #comes(name: SessionName): boolean {
    try {
      this.find(name);
      return true;
    } catch (error) {
      return !CastellanError.is(error, "TEMPLATE_FULL");
    }
  }

  async #begin({ branch, sessions }: TemplateEntry, plan: SessionPlan, member: Member): Promise<void> {
    const { sessions: table, opened } = this.#deps;
    const { server } = member;
    try {
      await opened();
      await this.#leaving.get(plan.id);
      const [failed] = await table.restore([member]);
      if (failed !== undefined) throw failed.error;
      // Ended by its owner meanwhile.
      if (table.holds(server)) await branch.add(plan);
    } catch (error) {
      if (CastellanError.is(error)) server.dismiss(error);
      server.close("session");
      table.release(server);
      if (sessions.get(plan.id) === server) sessions.delete(plan.id);
    }
  }

  #makeRoom(entry: TemplateEntry): void {
    const { maxSessions, id } = entry.plan;
    if (entry.sessions.size < maxSessions) return;
    this.#prune(entry);
    if (entry.sessions.size < maxSessions) return;
    const [oldest] = this.#hibernated(entry);
    if (oldest !== undefined) {
      this.#evict(entry, oldest.server);
      return;
    }
    const message = `Template ${JSON.stringify(id)} has ${maxSessions} sessions, which is its \`maxSessions\`, and none of them hibernates; ask again later.`;
    throw new CastellanError("TEMPLATE_FULL", message, { details: { template: id, maxSessions } });
  }

  /** Lets those go that have hibernated for longest, if more do than may, and a few more. */
  #thin(entry: TemplateEntry): void {
    const { maxHibernated } = entry.plan;
    entry.added = 0;
    if (entry.sessions.size <= maxHibernated) return;
    const hibernated = this.#hibernated(entry);
    if (hibernated.length <= maxHibernated) return;
    const stay = Math.floor(maxHibernated * (1 - THINNED));
    for (const { server } of hibernated.slice(0, hibernated.length - stay)) this.#evict(entry, server);
  }

  /** Those that could be let go, and since when; what has hibernated for longest first. */
  #hibernated({ sessions }: TemplateEntry): { readonly server: SessionServer; readonly since: number }[] {
    const hibernated = [...sessions.values()].flatMap((server) => {
      const since = server.hibernatedSince;
      return since === undefined ? [] : [{ server, since }];
    });
    return hibernated.sort((one, other) => one.since - other.since);
  }

  /** Forgets those that somebody has ended. */
  #prune({ sessions }: TemplateEntry): void {
    for (const [key, server] of sessions) if (!this.#deps.sessions.holds(server)) sessions.delete(key);
  }

  /** Ends a session that has no process; what the journal knows of it stays. Its name is free at once. */
  #evict({ branch, sessions }: TemplateEntry, server: SessionServer): void {
    const { key } = server.settings;
    server.evict();
    this.#deps.sessions.release(server);
    sessions.delete(key);
    branch.deletePlan(key);
    const gone = leave(branch, key).finally(() => {
      if (this.#leaving.get(key) === gone) this.#leaving.delete(key);
    });
    this.#leaving.set(key, gone);
  }

  #watch(entry: TemplateEntry): void {
    const { retentionMs } = entry.plan;
    if (entry.timer !== undefined) return;
    const everyMs = Math.min(LOOK_MS, Math.max(1, retentionMs / 2));
    const look = (): void => {
      entry.timer = undefined;
      this.#prune(entry);
      const until = this.#deps.clock.monotonic() - entry.plan.retentionMs;
      for (const { server, since } of this.#hibernated(entry)) if (since <= until) this.#evict(entry, server);
      this.#thin(entry);
      if (entry.sessions.size > 0) this.#watch(entry);
    };
    entry.timer = this.#deps.clock.schedule(everyMs, look, { background: true });
  }
}

async function leave(branch: Branch, key: string): Promise<void> {
  await branch.opened();
  await branch.tree?.terminateChild(key).catch(() => {});
  await branch.tree?.deleteChild(key).catch(() => {});
}
