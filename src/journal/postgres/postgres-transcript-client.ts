import type { SessionKey, SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { type Clock, systemClock } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import { publish } from "../../events.ts";
import { LazyDatabase, type ReadyDatabase } from "./lazy-database.ts";
import { notOpen, type PostgresSubject, subjectOf } from "./postgres-fault.ts";
import type { PostgresLocation } from "./postgres-location.ts";
import type { PostgresTables } from "./postgres-schema.ts";
import {
  append,
  type FencedWrite,
  isBehind,
  load,
  MissingEntries,
  remove,
  sessionHash,
  statesOf,
  subpaths,
  summaries,
  TRANSCRIPT_TABLES,
  type TranscriptState,
  toAppend,
} from "./postgres-transcripts.ts";
import { type KnownTranscript, type OwnedUnder, RecentAppends } from "./recent-appends.ts";
import { relinked } from "./transcript-links.ts";

/** How a session store uses the transcripts. */
export interface TranscriptUse {
  /** Project key to store everything under. Default: the key of each call. */
  readonly project?: string;
  /**
   * Returns the fence for an append or a deletion, at the time of the call.
   *
   * @throws CastellanError `NOT_OWNER` if nothing may be written
   */
  readonly fenced?: () => OwnedWrite;
}

/** A write to the transcript of a session that moves between machines. */
export interface OwnedWrite extends FencedWrite {
  /** Canonical name of the session. */
  readonly session: string;
}

/** What to do when the database lacks entries that it has confirmed. */
export interface TranscriptRecovery {
  readonly recent: RecentAppends;
  /** `lost`: this process no longer has them. @throws CastellanError if nothing can be written without them */
  onMissing(missing: { readonly entries: number; readonly lost: boolean }): void;
}

/** Less than the minute after which the SDK gives up on a call: a rejected call is retried. */
const STATEMENT_MS = 45_000;

/** Maximum number of transcripts per query. */
const MOST_KEYS = 500;

/**
 * Reads and writes transcripts in PostgreSQL, over a small pool that connects on first use. Appends and deletions of a
 * session take effect in the order of the calls.
 */
export class PostgresTranscriptClient {
  readonly #subject: PostgresSubject;
  readonly #database: LazyDatabase;
  readonly #recovery: TranscriptRecovery;
  #closed: Promise<void> | undefined;
  /** The last pending call of each session. */
  readonly #queues = new Map<string, Promise<void>>();

  /** @param tables tables besides those of the transcripts */
  constructor(location: PostgresLocation, tables: readonly PostgresTables[] = [], recovery?: TranscriptRecovery) {
    this.#recovery = recovery ?? defaultRecovery(location.label, systemClock);
    this.#subject = subjectOf("session store", location);
    this.#database = new LazyDatabase(location, "session store", { timeoutMs: STATEMENT_MS }, [
      TRANSCRIPT_TABLES,
      ...tables,
    ]);
  }

  /** Returns a session store with all methods that the Agent SDK knows. */
  store({ project, fenced }: TranscriptUse = {}): Required<SessionStore> {
    const kept = <Key extends { readonly projectKey: string }>(key: Key): Key =>
      project === undefined ? key : { ...key, projectKey: project };
    return {
      append: async (given, entries) => {
        this.#refuse(given);
        if (entries.length === 0) return;
        const [key, write, appended] = [kept(given), fenced?.(), toAppend(entries)];
        await this.#inOrder(key, async () => {
          const { recent } = this.#recovery;
          const state = await this.#complete(key, fenced, async (database) =>
            append(database, key, appended, { fenced: write, known: recent.find(key)?.state }),
          );
          recent.add({ key, state, owned: ownedBy(write) }, appended);
        });
      },
      load: async (given) => {
        this.#refuse(given);
        const key = kept(given);
        return await this.#inOrder(key, async () => {
          const { recent } = this.#recovery;
          const { entries, state } = await this.#complete(key, fenced, async (database) => {
            const found = await load(database, key);
            const known = recent.find(key);
            if (known !== undefined && isBehind(found.state, known.state)) throw new MissingEntries(found.state);
            return found;
          });
          recent.learn({ key, state, owned: recent.find(key)?.owned });
          return entries.length === 0 ? null : relinked(entries);
        });
      },
      listSessions: async (projectKey) =>
        (await this.#summaries(project ?? projectKey)).map(({ sessionId, mtime }) => ({ sessionId, mtime })),
      listSessionSummaries: (projectKey) => this.#summaries(project ?? projectKey),
      delete: async (given) => {
        this.#refuse(given);
        const [key, write] = [kept(given), fenced?.()];
        await this.#inOrder(key, async () => {
          await remove(await this.#database.use(), key, write?.fence);
          this.#recovery.recent.forget(key);
        });
      },
      listSubkeys: async (key) => {
        this.#refuse();
        return await subpaths(await this.#database.use(), kept(key));
      },
    };
  }

  /**
   * Writes again what the database has lost of the last appends, if its history has changed.
   *
   * @param fenced returns the fence for a session that moves between machines
   * @throws CastellanError `DATABASE_UNAVAILABLE`
   */
  async catchUp(fenced?: (owned: OwnedUnder) => OwnedWrite): Promise<void> {
    this.#refuse();
    const { recent } = this.#recovery;
    const all = recent.all;
    const database = await this.#database.useWithHistory();
    for (let from = 0; from < all.length; from += MOST_KEYS) {
      const some = all.slice(from, from + MOST_KEYS);
      const states = await statesOf(
        database,
        some.map(({ key }) => key),
      );
      const missing = some.filter(({ state }, at) => isBehind(states[at] ?? state, state));
      await Promise.all(missing.map((known) => this.#inOrder(known.key, () => this.#catchUp(database, known, fenced))));
    }
  }

  /** Waits for pending calls, and closes the connections. */
  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #summaries(projectKey: string): ReturnType<typeof summaries> {
    this.#refuse();
    return await summaries(await this.#database.use(), projectKey);
  }

  #refuse({ subpath }: Partial<SessionKey> = {}): void {
    if (this.#closed !== undefined) throw notOpen(this.#subject);
    if (subpath === "") throw emptySubpath();
  }

  /** Runs `work` on a transcript; runs it again after restoring entries that the database lacks. */
  async #complete<Result>(
    key: SessionKey,
    fenced: TranscriptUse["fenced"],
    work: (database: ReadyDatabase) => Promise<Result>,
  ): Promise<Result> {
    const database = await this.#database.useWithHistory();
    for (;;) {
      try {
        return await work(database);
      } catch (error) {
        if (!(error instanceof MissingEntries)) throw error;
        await this.#settle(database, key, error.found, fenced?.());
      }
    }
  }

  async #catchUp(
    database: ReadyDatabase,
    { key, owned }: KnownTranscript,
    fenced: ((owned: OwnedUnder) => OwnedWrite) | undefined,
  ): Promise<void> {
    const known = this.#recovery.recent.find(key);
    const [found] = await statesOf(database, [key]);
    if (known === undefined || found === undefined || !isBehind(found, known.state)) return;
    try {
      await this.#settle(database, key, found, owned && fenced?.(owned));
    } catch (error) {
      // Another node owns the session now.
      if (!CastellanError.is(error, "NOT_OWNER")) throw error;
      this.#recovery.recent.forget(key);
    }
  }

  /** Restores entries that the database lacks, unless somebody has deleted the transcript. */
  async #settle(
    database: ReadyDatabase,
    key: SessionKey,
    found: TranscriptState,
    write: OwnedWrite | undefined,
  ): Promise<void> {
    const { recent, onMissing } = this.#recovery;
    const known = recent.find(key);
    if (known === undefined || !hasOtherHistory(found, known, write)) return recent.forget(key);
    const missing = recent.after(key, found.length);
    if (missing === undefined) {
      recent.learn({ ...known, state: found });
      onMissing({ entries: 0, lost: true });
      return;
    }
    let state = found;
    try {
      for (const { appended, owned } of missing) {
        const fenced = write && { ...write, epoch: owned?.epoch ?? write.epoch };
        state = await append(database, key, appended, { fenced });
      }
    } catch (error) {
      if (!CastellanError.is(error, "NOT_OWNER")) throw error;
      // Another node continues the session as the database has it.
      return recent.forget(key);
    }
    recent.learn({ ...known, state });
    onMissing({ entries: missing.reduce((sum, { appended }) => sum + appended.entries.length, 0), lost: false });
  }

  async #inOrder<Result>(key: SessionKey, call: () => Promise<Result>): Promise<Result> {
    const queue = sessionHash(key).toString("hex");
    const result = (this.#queues.get(queue) ?? Promise.resolve()).then(call);
    const over = result.then(
      () => {},
      () => {},
    );
    this.#queues.set(queue, over);
    await over;
    if (this.#queues.get(queue) === over) this.#queues.delete(queue);
    return await result;
  }

  async #finish(): Promise<void> {
    while (this.#queues.size > 0) await Promise.all(this.#queues.values());
    await this.#database.close();
  }
}

function emptySubpath(): CastellanError<"INVALID_OPTIONS"> {
  const message = "must not be empty; omit it for the main transcript";
  return new CastellanError("INVALID_OPTIONS", `The key of a transcript: \`subpath\`: ${message}.`, {
    details: { problems: [{ field: "subpath", message }] },
  });
}

/**
 * Whether a transcript is shorter because the database's history has changed, and not because somebody deleted it:
 * nobody shortens a transcript, and only the owner deletes an owned one.
 */
function hasOtherHistory(found: TranscriptState, { state, owned }: KnownTranscript, write?: OwnedWrite): boolean {
  if (found.id === state.id) return true;
  if (owned !== undefined && owned.session === write?.session && owned.epoch === write.epoch) return true;
  return found.history !== null && state.history !== null && found.history !== state.history;
}

function ownedBy(write: OwnedWrite | undefined): OwnedUnder | undefined {
  return write && { session: write.session, epoch: write.epoch };
}

function defaultRecovery(label: string, clock: Clock): TranscriptRecovery {
  return {
    recent: new RecentAppends(clock),
    onMissing: (missing) => {
      const message = `The session store ${label} ${describeMissing(missing)}`;
      process.emitWarning(message, { type: "CastellanWarning", code: "DATABASE_UNAVAILABLE" });
      const { entries: count, lost } = missing;
      publish("castellan:database:gap", () => ({ location: label, content: "transcript", count, lost }));
    },
  };
}

/** Describes the loss of confirmed entries. */
function describeMissing({ entries, lost }: { readonly entries: number; readonly lost: boolean }): string {
  const missing = lost
    ? "the last entries of a transcript, which this process no longer has."
    : `the last ${entries} entries of a transcript. Castellan wrote them again.`;
  return `failed over to a replica, or was restored from a backup, and lacked ${missing} Have each commit wait for a synchronous standby to prevent this.`;
}
