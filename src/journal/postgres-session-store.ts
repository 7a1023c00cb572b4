import type { SessionKey, SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { CastellanError } from "../errors.ts";
import { PostgresDatabase } from "./postgres-database.ts";
import { notOpen } from "./postgres-fault.ts";
import { type PostgresOptions, postgresPlace } from "./postgres-place.ts";
import { prepare } from "./postgres-schema.ts";
import { TRANSCRIPT_TABLES } from "./postgres-transcript-tables.ts";
import { append, load, remove, sessionHash, subpaths, summaries, toAppend } from "./postgres-transcripts.ts";

/** Transcripts in PostgreSQL: every method that the Agent SDK knows of a `SessionStore`. */
export interface PostgresSessionStore extends Required<SessionStore>, AsyncDisposable {
  /** Lets what is under way come to its end, and closes the connections. What has been stored stays. */
  close(): Promise<void>;
}

/** Less than the minute after which the SDK gives a call up for lost: one that was refused is tried again. */
const STATEMENT_MS = 45_000;

/**
 * Keeps transcripts in a PostgreSQL database, for the option `sessionStore`: conversations then outlive the machine, and can
 * be resumed on another one. Needs the package `pg`. The tables are made on first use; the schema may be that of a journal.
 * Any number of applications may use the same ones. It may be reached through a pooler.
 *
 * Entries with a `uuid` are stored once, at the place where they came first; one that is sent again is ignored, since Claude
 * Code never changes what it has written. What is appended to a session, and deleted of it, takes effect in the order of the calls.
 *
 * Methods reject with a `CastellanError` `JOURNAL_UNAVAILABLE`, which says why; `append` and `delete` with
 * `INVALID_OPTIONS` for an empty `subpath`.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 * @example
 * await using sessionStore = postgresSessionStore({ postgres: "postgres://localhost/app" });
 * await using supervisor = await Supervisor.start([{ name: "assistant", sessionStore }]);
 */
export function postgresSessionStore(options: PostgresOptions): PostgresSessionStore {
  const place = postgresPlace(options);
  let opening: Promise<PostgresDatabase> | undefined;
  let closed: Promise<void> | undefined;
  /** The last call of each session that has any under way. */
  const lines = new Map<string, Promise<void>>();

  const open = async (): Promise<PostgresDatabase> => {
    const database = await PostgresDatabase.load(place, "session store", { timeoutMs: STATEMENT_MS });
    try {
      await prepare(database, TRANSCRIPT_TABLES);
      return database;
    } catch (error) {
      await database.close();
      throw error;
    }
  };

  const opened = async (): Promise<PostgresDatabase> => {
    opening ??= open();
    const attempt = opening;
    try {
      return await attempt;
    } catch (error) {
      // The next call tries again.
      if (opening === attempt) opening = undefined;
      throw error;
    }
  };

  const refuse = ({ subpath }: Partial<SessionKey> = {}): void => {
    if (closed !== undefined) throw notOpen(`The session store ${place.label}`);
    if (subpath === "") throw emptySubpath();
  };

  const inLine = async (key: SessionKey, call: () => Promise<void>): Promise<void> => {
    const line = sessionHash(key).toString("hex");
    const result = (lines.get(line) ?? Promise.resolve()).then(call);
    const over = result.catch(() => {});
    lines.set(line, over);
    await over;
    if (lines.get(line) === over) lines.delete(line);
    await result;
  };

  const read = async <Result>(call: (database: PostgresDatabase) => Promise<Result>): Promise<Result> => {
    refuse();
    return await call(await opened());
  };

  const finish = async (): Promise<void> => {
    while (lines.size > 0) await Promise.all(lines.values());
    const database = await opening?.catch(() => undefined);
    await database?.close();
  };

  const close = (): Promise<void> => {
    closed ??= finish();
    return closed;
  };

  return {
    append: async (key, entries) => {
      refuse(key);
      if (entries.length === 0) return;
      const appended = toAppend(entries);
      await inLine(key, async () => await append(await opened(), key, appended));
    },
    load: async (key) => {
      refuse(key);
      return await load(await opened(), key);
    },
    listSessions: (projectKey) =>
      read(async (database) =>
        (await summaries(database, projectKey)).map(({ sessionId, mtime }) => ({ sessionId, mtime })),
      ),
    listSessionSummaries: (projectKey) => read((database) => summaries(database, projectKey)),
    delete: async (key) => {
      refuse(key);
      await inLine(key, async () => await remove(await opened(), key));
    },
    listSubkeys: (key) => read((database) => subpaths(database, key)),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function emptySubpath(): CastellanError<"INVALID_OPTIONS"> {
  const message = "must not be empty; leave it out for the main transcript";
  return new CastellanError("INVALID_OPTIONS", `The key of a transcript: \`subpath\`: ${message}.`, {
    details: { problems: [{ field: "subpath", message }] },
  });
}
