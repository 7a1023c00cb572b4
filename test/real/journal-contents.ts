import { DatabaseSync } from "node:sqlite";
import { z } from "zod";

const turnSchema = z.object({
  id: z.string(),
  prompt: z.string(),
  state: z.string(),
  attempts: z.number(),
  /** What it cost, if that is known, be it told with a reply or with an error. */
  cost: z.number().nullable(),
  text: z.string().nullable(),
});

/** What a journal in a SQLite file says to somebody who reads the file itself. */
export interface JournalContents {
  /** `["ok"]`, or what is wrong with the file. */
  readonly integrity: readonly unknown[];
  /** In the order in which they were accepted. */
  readonly turns: readonly z.infer<typeof turnSchema>[];
}

/** Reads a journal that nobody has open. */
export function readJournal(path: string): JournalContents {
  const database = new DatabaseSync(path);
  try {
    const integrity = database.prepare("PRAGMA integrity_check").all();
    const turns = database
      .prepare(`SELECT id, prompt, state, attempts, outcome ->> '$.reply.text' AS text,
          coalesce(outcome ->> '$.reply.costUsd', outcome ->> '$.error.details.costUsd') AS cost
        FROM turns ORDER BY seq`)
      .all();
    return { integrity: integrity.flatMap(Object.values), turns: z.array(turnSchema).parse(turns) };
  } finally {
    database.close();
  }
}
