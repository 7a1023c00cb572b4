import type { FormerTranscripts } from "../journal/model/transcript-entry.ts";
import type { PostgresLocation } from "../journal/postgres/postgres-location.ts";
import { PostgresTranscriptClient } from "../journal/postgres/postgres-transcript-client.ts";

/** The project key under which earlier releases kept the transcripts of all global sessions. */
const PROJECT = "global";

/** Transcripts over connections that have to be closed. */
export interface ClosableTranscripts extends FormerTranscripts {
  /** Waits for pending calls, and closes the connections. */
  close(): Promise<void>;
}

/**
 * Returns the transcripts of global sessions that earlier releases kept in the tables of `postgresSessionStore`. They
 * are read when a session is first used, and written by nobody. Connects on the first call.
 */
export function formerGlobalTranscripts(location: PostgresLocation): ClosableTranscripts {
  const client = new PostgresTranscriptClient(location);
  const store = client.store();
  return {
    load: (key) => store.load({ ...key, projectKey: PROJECT }),
    listSubkeys: (key) => store.listSubkeys({ ...key, projectKey: PROJECT }),
    delete: (key) => store.delete({ ...key, projectKey: PROJECT }),
    close: () => client.close(),
  };
}
