import type { RealCluster } from "../cluster/real-cluster.ts";
import type { PostgresServer } from "../journal/postgres-server.ts";

interface EntryRow {
  readonly conversation: string;
  /** From 1. */
  readonly position: string;
  readonly entry: { readonly type: string; readonly uuid?: string; readonly parentUuid?: string | null };
}

/** Returns the entries of the main transcripts in the journal, in order. */
export async function entriesOf(server: PostgresServer, schema: string): Promise<EntryRow[]> {
  return await server.sql<EntryRow>(
    `select conversation_id as conversation, row_number() over (partition by transcript order by number, at) as position,
       line::json as entry
     from ${schema}.journal_transcript_parts join ${schema}.journal_transcripts on id = transcript,
       lateral string_to_table(rtrim(lines, e'\\n'), e'\\n') with ordinality as line (line, at)
     where subpath = '' order by transcript, number, at`,
  );
}

/** The entries of main transcripts whose parent is missing. */
export async function chainFaults({ server, schema }: RealCluster): Promise<string[]> {
  const rows = await entriesOf(server, schema);
  const known = new Set(rows.map(({ entry }) => entry.uuid));
  return rows.flatMap(({ conversation, position, entry }) =>
    typeof entry.parentUuid === "string" && !known.has(entry.parentUuid)
      ? [`entry ${position} of ${conversation}, a ${entry.type}, has lost its parent`]
      : [],
  );
}
