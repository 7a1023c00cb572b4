import { DatabaseSync } from "node:sqlite";
import { z } from "zod";

const turnSchema = z.object({
  id: z.string(),
  prompt: z.string(),
  state: z.string(),
  attempts: z.number(),
  /** The cost, if it is known, from the reply or the error. */
  cost: z.number().nullable(),
  text: z.string().nullable(),
});

/** The contents of a SQLite journal, read from the file. */
export interface JournalContents {
  /** `["ok"]`, or the defects of the file. */
  readonly integrity: readonly unknown[];
  /** In the order of acceptance. */
  readonly turns: readonly z.infer<typeof turnSchema>[];
}

/** Reads a journal that no process has open. */
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
