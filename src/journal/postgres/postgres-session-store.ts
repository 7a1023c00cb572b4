import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { type PostgresOptions, postgresLocation } from "./postgres-location.ts";
import { PostgresTranscriptClient } from "./postgres-transcript-client.ts";

/** A session store in PostgreSQL, with every method of the Agent SDK's `SessionStore`. */
export interface PostgresSessionStore extends Required<SessionStore>, AsyncDisposable {
  /** Waits for pending calls, and closes the connections. */
  close(): Promise<void>;
}

/**
 * Stores transcripts in a PostgreSQL database, for the option `sessionStore`: conversations survive the machine and can
 * be resumed on another one. Needs the package `pg`. It creates its tables on first use; the schema may also hold a
 * journal. Any number of applications may share it, and a pooler is fine.
 *
 * It stores an entry with a `uuid` once, at its first position, and ignores a repeated one: Claude Code never changes
 * an entry. Appends and deletions of a session take effect in the order of the calls.
 *
 * Methods reject with a `CastellanError` `DATABASE_UNAVAILABLE`; `append` and `delete` with `INVALID_OPTIONS` for an
 * empty `subpath`.
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
