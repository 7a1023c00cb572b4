import { fromText, toText } from "../model/stored-text.ts";
import {
  PARTS_PAGE,
  type TranscriptHead,
  type TranscriptKey,
  type TranscriptStore,
} from "../model/transcript-entry.ts";

type Read = <Row extends object>(text: string, values: readonly unknown[]) => Promise<Row[]>;

const HEADS = `
  select session, conversation_id, subpath, last_uuid from journal_transcripts left join lateral (
    select last_uuid from journal_transcript_parts
    where transcript = id and last_uuid is not null order by number desc limit 1
  ) as last on true`;

const PAGE = `
  select part.number::text, lines from journal_transcripts join journal_transcript_parts as part on transcript = id
  where conversation_id = $1 and subpath = $2 and part.number > $3 order by part.number limit ${PARTS_PAGE}`;

/** Returns the transcripts in a journal's schema. */
export function journalTranscripts(read: Read): TranscriptStore {
  return {
    of: async (conversationId) =>
      (await read<HeadRow>(`${HEADS} where conversation_id = $1 order by subpath`, [toText(conversationId)])).map(
        headOf,
      ),
    writtenBy: async (session) =>
      (await read<HeadRow>(`${HEADS} where session = $1 order by conversation_id, subpath`, [toText(session)])).map(
        headOf,
      ),
    lines: (key) => linesIn(read, key),
  };
}

async function* linesIn(
  read: Read,
  { conversationId, subpath = "" }: TranscriptKey,
): AsyncGenerator<string, void, undefined> {
  for (let after = "0"; ; ) {
    const parts = await read<PartRow>(PAGE, [toText(conversationId), toText(subpath), after]);
    for (const { lines } of parts) yield fromText(lines);
    const last = parts.at(-1);
    if (last === undefined || parts.length < PARTS_PAGE) return;
    after = last.number;
  }
}

interface HeadRow {
  readonly session: string;
  readonly conversation_id: string;
  readonly subpath: string;
  readonly last_uuid: string | null;
}

interface PartRow {
  readonly number: string;
  readonly lines: string;
}

function headOf({ session, conversation_id, subpath, last_uuid }: HeadRow): TranscriptHead {
  return {
    session: fromText(session),
    conversationId: fromText(conversation_id),
    ...(subpath !== "" && { subpath: fromText(subpath) }),
    ...(last_uuid !== null && { lastUuid: fromText(last_uuid) }),
  };
}
