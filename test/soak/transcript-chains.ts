import type { RealCluster } from "../cluster/real-cluster.ts";

interface EntryRow {
  readonly conversation: string;
  readonly position: string;
  readonly entry: { readonly type: string; readonly uuid?: string; readonly parentUuid?: string | null };
}

/** The entries of main transcripts whose parent is missing. */
export async function chainFaults({ server, schema }: RealCluster): Promise<string[]> {
  const rows = await server.sql<EntryRow>(
    `select session_id as conversation, position, entry from ${schema}.transcript_entries
     join ${schema}.transcripts on id = transcript where subpath is null order by transcript, position`,
  );
  const known = new Set(rows.map(({ entry }) => entry.uuid));
  return rows.flatMap(({ conversation, position, entry }) =>
    typeof entry.parentUuid === "string" && !known.has(entry.parentUuid)
      ? [`entry ${position} of ${conversation}, a ${entry.type}, has lost its parent`]
      : [],
  );
}
