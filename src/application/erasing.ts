import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import { buildEnvironment } from "../claude/environment.ts";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName, keyPrefix, nameKey, nameOfKey, nameProblem, type SessionName } from "../names.ts";
import type { PoolServer } from "../pool/pool-server.ts";
import type { SessionDefaults } from "../session/options/options.ts";
import { type SessionSettings, sessionSettings } from "../session/options/session-settings.ts";
import { validate } from "../session/options/validation.ts";
import { Belongings, type KnownConversations, type TranscriptsInStore } from "../session/persistence/belongings.ts";
import {
  type EraseOptions,
  type ErasureReport,
  type Removed,
  removeBelongings,
} from "../session/persistence/erasure.ts";
import type { ExportOptions } from "../session/persistence/session-export.ts";
import { exportLines } from "../session/persistence/session-export.ts";
import type { SupervisorJournal } from "../session/persistence/supervisor-journal.ts";
import { isSession } from "../session/session.ts";
import type { SessionServer } from "../session/session-server.ts";
import { resolveRef, type SessionRef } from "./names/reference.ts";
import { registry } from "./names/registry.ts";
import type { SessionTable } from "./tree/session-table.ts";
import type { Tree } from "./tree/tree.ts";

/** The first part of the names under which `usage()` reports the spending of erased sessions. */
const ERASED = "erased";

const storeSchema = z
  .custom<SessionStore>(
    (value) => typeof value === "object" && value !== null && "load" in value,
    "expected a session store",
  )
  .optional();

const eraseSchema = z.strictObject({ memory: z.boolean().default(false), sessionStore: storeSchema });

const exportSchema = z.strictObject({ sessionStore: storeSchema });

/** What erasing needs of its supervisor. */
export interface ErasingDeps {
  /** The name of the supervisor. */
  readonly supervisor: string;
  readonly journal: SupervisorJournal;
  readonly sessions: SessionTable;
  readonly tree: Tree;
  readonly newId: () => string;
  /** The session options of the supervisor. */
  defaults(): SessionDefaults;
}

/** Erases and exports what is known of a session, whether it exists or only its record in the journal does. */
export class Erasing {
  readonly #deps: ErasingDeps;

  constructor(deps: ErasingDeps) {
    this.#deps = deps;
  }

  /** See `Supervisor.eraseSession`. */
  async erase(reference: SessionRef, options: EraseOptions): Promise<ErasureReport> {
    const { journal, tree, newId } = this.#deps;
    const terms = validate(eraseSchema, options, "eraseSession");
    const name = this.#nameOf(reference);
    const spentBy = [ERASED, newId()] as const;
    if (!tree.isOpen) await tree.opened();
    const pool = poolIn(tree, name);
    const expunge = (): Promise<void> => journal.expunge(true);
    if (pool === undefined) return await this.#erase(name, terms, spentBy, expunge);
    const reports: ErasureReport[] = [];
    await pool.jobs.erase(async () => {
      reports.push(await this.#erase(name, terms, spentBy));
      for (const member of await this.#membersOf(pool)) {
        reports.push(await this.#erase(member, terms, [...spentBy, ...member.slice(1)]));
      }
      await expunge();
    });
    return sumOf(name, reports, spentBy);
  }

  async #erase(
    name: SessionName,
    terms: z.infer<typeof eraseSchema>,
    spentBy: readonly [string, ...(string | number)[]],
    then: () => Promise<void> = async () => {},
  ): Promise<ErasureReport> {
    const { journal, tree, sessions, newId } = this.#deps;
    const key = nameKey(name);
    // A session that takes the name later has nothing to erase: it waits for the end of the erasure.
    const server = sessions.find(name)?.server;
    return await journal.erasures.run(key, async () => {
      const settings = server?.settings ?? this.#settingsOf(name);
      if (server !== undefined && sessions.holds(server)) await tree.terminate(server);
      await tree.templates.evicted(key);
      server?.silence();
      const extent = await journal.extent(key);
      // A log whose events were all deleted has the name, too.
      const hasLog = (await journal.eventExtent(key)) !== undefined;
      const known = await journal.conversations(key);
      const removed = await removeBelongings(await this.#belongingsOf(known, settings, terms.sessionStore), {
        key,
        memory: terms.memory,
        id: newId(),
      });
      const spent = (await journal.usage({ session: key, by: [] })).length > 0;
      const jobs = await journal.countJobs(key);
      const isStored = spent || hasLog || isKnown(known) || extent.turns + extent.approvals + jobs > 0;
      if (isStored) await journal.erase(key, nameKey(spentBy));
      await then();
      return { name, ...extent, jobs, ...removed, ...(spent ? { spentBy } : {}) };
    });
  }

  /**
   * Erases a session except for its spending, which stays under its name. The session has no process any more and still holds its
   * name.
   *
   * @throws CastellanError `ERASURE_INCOMPLETE`, `JOURNAL_UNAVAILABLE`, `NOT_OWNER`
   */
  clear(server: SessionServer): Promise<void> {
    const { journal, newId } = this.#deps;
    const { settings } = server;
    const { key } = settings;
    return journal.erasures.run(key, async () => {
      server.silence();
      const known = await journal.conversations(key);
      try {
        await removeBelongings(await this.#belongingsOf(known, settings), { key, memory: false, id: newId() });
      } catch (error) {
        // The next session of this name must start empty all the same, and a later erasure must find what is left.
        await journal.erase(key, undefined, [...known.left, ...leftBy(known)]);
        throw error;
      }
      await journal.erase(key, undefined);
      await journal.expunge(false);
    });
  }

  /** Returns Claude's ids of all conversations that a session has had. */
  async conversations(name: SessionName): Promise<readonly string[]> {
    const { journal, tree } = this.#deps;
    await tree.opened();
    const known = await journal.conversations(nameKey(name));
    return (await this.#belongingsOf(known, this.#settingsOf(name))).conversations;
  }

  /** See `Supervisor.exportSession`. */
  async *export(reference: SessionRef, options: ExportOptions): AsyncGenerator<string, void, undefined> {
    const { tree } = this.#deps;
    const { sessionStore } = validate(exportSchema, options, "exportSession");
    const name = this.#nameOf(reference);
    await tree.opened();
    yield* this.#export(name, sessionStore);
    const pool = poolIn(tree, name);
    if (pool === undefined) return;
    for (const member of await this.#membersOf(pool)) yield* this.#export(member, sessionStore);
  }

  async *#export(
    name: SessionName,
    sessionStore: TranscriptsInStore | undefined,
  ): AsyncGenerator<string, void, undefined> {
    const { journal, tree, sessions } = this.#deps;
    const key = nameKey(name);
    await tree.templates.evicted(key);
    const server = sessions.find(name)?.server;
    // Completes the record. What can be read is exported all the same.
    await server?.reading.lastWhenKnown().catch(() => {});
    const settings = server?.settings ?? this.#settingsOf(name);
    const known = await journal.conversations(key);
    yield* exportLines({
      name,
      key,
      known,
      belongings: await this.#belongingsOf(known, settings, sessionStore),
      supervisorJournal: journal,
    });
  }

  /**
   * Returns the name that a reference stands for. No session of that name needs to exist.
   *
   * @throws CastellanError `INVALID_OPTIONS` for an invalid name, `SESSION_ALREADY_STARTED` if another supervisor has
   * the session
   */
  #nameOf(reference: SessionRef): SessionName {
    const { supervisor } = this.#deps;
    const session = resolveRef(reference);
    const name = isSession(session) ? session.name : session;
    if (nameProblem(name) !== undefined) throw registry.notFound(name, supervisor);
    const holder = registry.holderOf(name);
    if (holder === undefined || holder === supervisor) return name;
    const message = `Session ${formatName(name)} belongs to ${holder}. Call that supervisor.`;
    throw new CastellanError("SESSION_ALREADY_STARTED", message, { details: { supervisor: holder } });
  }

  /** Returns the names of the present and former members of a pool. */
  async #membersOf({ settings: { name: pool }, servers }: PoolServer): Promise<Exclude<SessionName, string>[]> {
    const names = [
      ...servers.map(({ settings }) => settings.name),
      ...(await this.#deps.journal.keysBeginning(keyPrefix(pool))).map(nameOfKey),
    ];
    const members = names.filter((one) => typeof one !== "string");
    return [...new Map(members.map((one) => [nameKey(one), one])).values()];
  }

  async #belongingsOf(
    known: KnownConversations,
    settings: SessionSettings,
    sessionStore: TranscriptsInStore | undefined = settings.sdk.sessionStore ?? this.#deps.journal.formerTranscripts,
  ): Promise<Belongings> {
    return await belongingsOf(known, settings, sessionStore);
  }

  /** Returns the settings that a session of this name would have. */
  #settingsOf(name: SessionName): SessionSettings {
    const { tree, defaults } = this.#deps;
    try {
      const settings = tree.templates.settingsOf(name) ?? tree.pools.settingsOf(name);
      if (settings !== undefined) return settings;
    } catch {
      // The template's function may no longer know the user that the session belonged to.
    }
    return sessionSettings({ name }, defaults());
  }
}

/** Returns the pool that has this name, if one has. */
function poolIn({ pools }: Tree, name: SessionName): PoolServer | undefined {
  return typeof name === "string" ? pools.server(name) : undefined;
}

/** Returns the report about a pool and its members. */
function sumOf(name: SessionName, reports: readonly ErasureReport[], spentBy: SessionName): ErasureReport {
  const total = (count: (report: ErasureReport) => number): number =>
    reports.reduce((sum, report) => sum + count(report), 0);
  return {
    name,
    turns: total(({ turns }) => turns),
    approvals: total(({ approvals }) => approvals),
    events: total(({ events }) => events),
    jobs: total(({ jobs }) => jobs),
    conversations: reports.flatMap(({ conversations }) => conversations),
    transcripts: total(({ transcripts }) => transcripts),
    files: total(({ files }) => files),
    ...(reports.some((report) => report.spentBy !== undefined) && { spentBy }),
    left: reports.flatMap(({ left }) => left),
  };
}

/** Removes the files of a session's conversations on this machine. */
export async function eraseFiles(
  settings: SessionSettings,
  conversations: readonly string[],
  memory: boolean,
  id: string,
): Promise<Removed> {
  const { key } = settings;
  const left = conversations.map((conversationId) => ({ session: key, conversationId, memory: {}, leftAt: 0 }));
  const known = { entry: undefined, left };
  return await removeBelongings(await belongingsOf(known, settings), { key, memory, id });
}

async function belongingsOf(
  known: KnownConversations,
  { sdk, inheritEnv, ownDirectory }: SessionSettings,
  sessionStore: TranscriptsInStore | undefined = sdk.sessionStore,
): Promise<Belongings> {
  const environment = buildEnvironment({ host: process.env, inheritEnv, env: sdk.env });
  return await Belongings.of(known, {
    sdk: { ...sdk, ...withoutUndefined({ sessionStore }) },
    environment,
    ownDirectory,
  });
}

function isKnown({ entry, left }: KnownConversations): boolean {
  return entry !== undefined || left.length > 0;
}

/** Returns the session's current conversation as one that it has left. */
function leftBy({ entry }: KnownConversations): KnownConversations["left"] {
  if (entry === undefined) return [];
  const { key: session, conversationId, memory, savedAt: leftAt } = entry;
  return [{ session, conversationId, memory, leftAt }];
}
