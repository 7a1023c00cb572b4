import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { type PostgresOptions, postgresLocation } from "./postgres-location.ts";
import { PostgresTranscriptClient } from "./postgres-transcript-client.ts";

/** Transcripts in PostgreSQL: every method that the Agent SDK knows of a `SessionStore`. */
export interface PostgresSessionStore extends Required<SessionStore>, AsyncDisposable {
  /** Lets what is under way come to its end, and closes the connections. What has been stored stays. */
  close(): Promise<void>;
}

/**
 * Keeps transcripts in a PostgreSQL database, for the option `sessionStore`: conversations then outlive the machine, and can
 * be resumed on another one. Needs the package `pg`. The tables are made on first use; the schema may be that of a journal.
 * Any number of applications may use the same ones. It may be reached through a pooler.
 *
 * Entries with a `uuid` are stored once, at the place where they came first; one that is sent again is ignored, since Claude
 * Code never changes what it has written. What is appended to a session, and deleted of it, takes effect in the order of the calls.
 *
 * Methods reject with a `CastellanError` `DATABASE_UNAVAILABLE`, which says why; `append` and `delete` with
 * `INVALID_OPTIONS` for an empty `subpath`.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 * @example
 * await using sessionStore = postgresSessionStore({ postgres: "postgres://localhost/app" });
 * await using supervisor = await Supervisor.start([{ name: "assistant", sessionStore }]);
 */
export function postgresSessionStore(options: PostgresOptions): PostgresSessionStore {
  const client = new PostgresTranscriptClient(postgresLocation(options));
  const close = (): Promise<void> => client.close();
  return { ...client.store(), close, [Symbol.asyncDispose]: close };
}
