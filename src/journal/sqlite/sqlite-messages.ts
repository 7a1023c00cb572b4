import type { SQLInputValue, SQLOutputValue } from "node:sqlite";

/** One statement of a script. */
export interface Step {
  readonly sql: string;
  readonly parameters?: readonly SQLInputValue[];
  /** What is asked for; by default nothing. */
  readonly want?: "row" | "rows" | "changes";
  /** Whether the script ends here, undone, if the statement changes nothing. */
  readonly mustChange?: boolean;
  /** Whether it is any number of statements, without parameters. */
  readonly script?: boolean;
}

/** How a script is run. */
export interface Running {
  /** All of it in one transaction, or nothing. */
  readonly transaction?: boolean;
  /** Not if something has become of the files that SQLite does not notice. */
  readonly checked?: boolean;
  /** Whether it may change something. */
  readonly writes?: boolean;
  /** What is written beside the files when all of it is done. */
  readonly mark?: string;
  /** Whether commits wait for the disk; by default as before. */
  readonly durable?: boolean;
}

/** What the thread of a SQLite file is asked. `connection` is a number that the asker gives. */
export type Question =
  | {
      readonly ask: "open";
      readonly connection: number;
      readonly location: string;
      readonly readOnly: boolean;
      readonly busyMs: number;
    }
  | { readonly ask: "close"; readonly connection: number }
  | { readonly ask: "run"; readonly connection: number; readonly steps: readonly Step[]; readonly running: Running }
  /** Begins to watch the files of the connection, which lie at `path`. */
  | { readonly ask: "watch"; readonly connection: number; readonly path: string }
  /** What stands in them. */
  | { readonly ask: "examine"; readonly connection: number }
  /** They are as they should be. */
  | { readonly ask: "settle"; readonly connection: number }
  /** Has SQLite make the index of the write-ahead log anew, out of what is valid in the log. */
  | { readonly ask: "reindex"; readonly connection: number }
  /** Takes what stands in the log away, to a file whose name ends with `-wal-saved`. */
  | { readonly ask: "save log"; readonly connection: number };

export interface Row {
  readonly [column: string]: SQLOutputValue;
}

/** What a step came to, by what was wanted of it. */
export type Result = number | Row | readonly Row[] | undefined;

/** A file of the three that a database in WAL mode has. */
export type DatabasePart = "" | "-wal" | "-shm";

/** What has become of files, behind the back of the connection. */
export interface Found {
  /** What lies at their paths is not what is open. */
  readonly gone: { readonly [Part in DatabasePart]?: "deleted" | "replaced" };
  /** Somebody else has written to them. */
  readonly changed: readonly DatabasePart[];
}

/** What a script came to. */
export interface Run {
  readonly results: readonly Result[];
  /** It ended early, undone: a step that had to change something did not. */
  readonly stopped?: true;
  /** It was not begun. */
  readonly found?: Found;
}

/** What stands in the files beside the database. */
export interface Examined {
  /** When the database was written to, in milliseconds, and how large it is. */
  readonly database: string;
  readonly wal: Uint8Array;
  readonly shm: Uint8Array;
  /** Whether the database itself was written to by something other than a checkpoint of SQLite. */
  readonly overwritten: boolean;
  /** Whether the index says that something was copied into the database since then, which was not written to. */
  readonly forged: boolean;
}

/** An error, without what is lost on the way out of a thread. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly errcode: number | undefined;
  readonly code: string | undefined;
  /** Whether it came in a commit. */
  readonly committing: boolean;
}

export type Answer = { readonly id: number } & (
  | { readonly value: Run | Examined | undefined }
  | { readonly failure: Failure }
);
