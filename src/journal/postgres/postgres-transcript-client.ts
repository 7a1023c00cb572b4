import type { SessionKey, SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { systemClock } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import { publish } from "../../events.ts";
import { relinked } from "../model/transcript-links.ts";
import { LazyDatabase, type ReadyDatabase } from "./lazy-database.ts";
import { notOpen, type PostgresSubject, subjectOf } from "./postgres-fault.ts";
import type { PostgresLocation } from "./postgres-location.ts";
import {
  append,
  isBehind,
  load,
  MissingEntries,
  remove,
  sessionHash,
  subpaths,
  summaries,
  TRANSCRIPT_TABLES,
  type TranscriptState,
  toAppend,
} from "./postgres-transcripts.ts";
import { type KnownTranscript, RecentAppends } from "./recent-appends.ts";

/** Less than the minute after which the SDK gives up on a call: a rejected call is retried. */
const STATEMENT_MS = 45_000;

/**
 * Reads and writes transcripts in PostgreSQL, over a small pool that connects on first use. Appends and deletions of a
 * session take effect in the order of the calls.
 */
export class PostgresTranscriptClient {
  readonly #subject: PostgresSubject;
  readonly #database: LazyDatabase;
  readonly #label: string;
  /** The last appends: a database that fails over to a replica may have lost them, and gets them again. */
  readonly #recent = new RecentAppends(systemClock);
  #closed: Promise<void> | undefined;
  /** The last pending call of each session. */
  readonly #queues = new Map<string, Promise<void>>();

  constructor(location: PostgresLocation) {
    this.#label = location.label;
    this.#subject = subjectOf("session store", location);
    this.#database = new LazyDatabase(location, "session store", { timeoutMs: STATEMENT_MS }, [TRANSCRIPT_TABLES]);
  }

  /** Returns a session store with all methods that the Agent SDK knows. */
  store(): Required<SessionStore> {
    const recent = this.#recent;
    return {
      append: async (key, entries) => {
        this.#refuse(key);
        if (entries.length === 0) return;
        const appended = toAppend(entries);
        await this.#inOrder(key, async () => {
          const state = await this.#complete(key, (database) =>
            append(database, key, appended, recent.find(key)?.state),
          );
          recent.add({ key, state }, appended);
        });
      },
      load: async (key) => {
        this.#refuse(key);
        return await this.#inOrder(key, async () => {
          const { entries, state } = await this.#complete(key, async (database) => {
            const found = await load(database, key);
            const known = recent.find(key);
            if (known !== undefined && isBehind(found.state, known.state)) throw new MissingEntries(found.state);
            return found;
          });
          recent.learn({ key, state });
          return entries.length === 0 ? null : relinked(entries);
        });
      },
      listSessions: async (projectKey) =>
        (await this.#summaries(projectKey)).map(({ sessionId, mtime }) => ({ sessionId, mtime })),
      listSessionSummaries: (projectKey) => this.#summaries(projectKey),
      delete: async (key) => {
        this.#refuse(key);
        await this.#inOrder(key, async () => {
          await remove(await this.#database.use(), key);
          recent.forget(key);
        });
      },
      listSubkeys: async (key) => {
        this.#refuse();
        return await subpaths(await this.#database.use(), key);
      },
    };
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
  async #complete<Result>(key: SessionKey, work: (database: ReadyDatabase) => Promise<Result>): Promise<Result> {
    const database = await this.#database.useWithHistory();
    for (;;) {
      try {
        return await work(database);
      } catch (error) {
        if (!(error instanceof MissingEntries)) throw error;
        await this.#settle(database, key, error.found);
      }
    }
  }

  /** Restores entries that the database lacks, unless somebody has deleted the transcript. */
  async #settle(database: ReadyDatabase, key: SessionKey, found: TranscriptState): Promise<void> {
    const recent = this.#recent;
    const known = recent.find(key);
    if (known === undefined || !hasOtherHistory(found, known)) return recent.forget(key);
    const missing = recent.after(key, found.length);
    if (missing === undefined) {
      recent.learn({ key, state: found });
      this.#report({ entries: 0, lost: true });
      return;
    }
    let state = found;
    for (const { appended } of missing) state = await append(database, key, appended, undefined);
    recent.learn({ key, state });
    this.#report({ entries: missing.reduce((sum, { appended }) => sum + appended.entries.length, 0), lost: false });
  }

  /** Reports entries that the database lacked. `lost`: this process no longer has them. */
  #report({ entries: count, lost }: { readonly entries: number; readonly lost: boolean }): void {
    const location = this.#label;
    const missing = lost
      ? "the last entries of a transcript, which this process no longer has."
      : `the last ${count} entries of a transcript. Castellan wrote them again.`;
    const message = `The session store ${location} failed over to a replica, or was restored from a backup, and lacked ${missing} Have each commit wait for a synchronous standby to prevent this.`;
    process.emitWarning(message, { type: "CastellanWarning", code: "DATABASE_UNAVAILABLE" });
    publish("castellan:database:gap", () => ({ location, content: "transcript", count, lost }));
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
 * nobody shortens a transcript.
 */
function hasOtherHistory(found: TranscriptState, { state }: KnownTranscript): boolean {
  if (found.id === state.id) return true;
  return found.history !== null && state.history !== null && found.history !== state.history;
}
