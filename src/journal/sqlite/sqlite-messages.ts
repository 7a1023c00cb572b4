import type { SQLInputValue, SQLOutputValue } from "node:sqlite";

/** A statement of a script. */
export interface Step {
  readonly sql: string;
  readonly parameters?: readonly SQLInputValue[];
  /** What to return. Default: nothing. */
  readonly want?: "row" | "rows" | "changes";
  /** Whether the script stops and rolls back if the statement changes nothing. */
  readonly mustChange?: boolean;
  /** Whether `sql` is any number of statements, without parameters. */
  readonly script?: boolean;
}

/** How to run a script. */
export interface Running {
  /** Runs the script in one transaction. */
  readonly transaction?: boolean;
  /** Runs the script only if the watch finds nothing wrong with the files. */
  readonly checked?: boolean;
  /** Whether the script may write. */
  readonly writes?: boolean;
  /** Text to write beside the files after the script. */
  readonly mark?: string;
  /** Whether commits wait for the disk. Default: as before. */
  readonly durable?: boolean;
}

/** A step in a question: a script, or the number of a statement, and the rest of the step. */
export type AskedStep = readonly [
  statement: number | string,
  parameters?: Step["parameters"],
  want?: Step["want"],
  mustChange?: boolean,
];

/** A question to the thread of a SQLite file. The caller numbers its connections and its statements. */
export type Question =
  | {
      readonly ask: "open";
      readonly connection: number;
      readonly location: string;
      readonly readOnly: boolean;
      readonly busyMs: number;
    }
  | { readonly ask: "close"; readonly connection: number }
  | {
      readonly ask: "run";
      readonly connection: number;
      readonly steps: readonly AskedStep[];
      /** Statements with the next numbers. Their text is sent once: it is longer than most parameters. */
      readonly statements: readonly string[];
      readonly running: Running;
    }
  /** Watches the connection's files, which are at `path`. */
  | { readonly ask: "watch"; readonly connection: number; readonly path: string }
  /** Reads the files. */
  | { readonly ask: "examine"; readonly connection: number }
  /** Declares the files correct. */
  | { readonly ask: "settle"; readonly connection: number }
  /** Has SQLite rebuild the index of the log from the log's valid part. */
  | { readonly ask: "reindex"; readonly connection: number }
  /** Moves the contents of the log to a file whose name ends with `-wal-saved`. */
  | { readonly ask: "save log"; readonly connection: number };

export interface Row {
  readonly [column: string]: SQLOutputValue;
}

/** The result of a step, by its `want`. */
export type Result = number | Row | readonly Row[] | undefined;

/** One of the three files of a database in WAL mode. */
export type DatabasePart = "" | "-wal" | "-shm";

/** Changes to the files that bypassed the connection. */
export interface Found {
  /** Files whose path no longer leads to the open file. */
  readonly gone: { readonly [Part in DatabasePart]?: "deleted" | "replaced" };
  /** Files that another program has written. */
  readonly changed: readonly DatabasePart[];
}

/** The result of a script. */
export interface Run {
  /** The results of the steps that want one. */
  readonly results: readonly Result[];
  /** A step with `mustChange` changed nothing, and the script was rolled back. */
  readonly stopped?: true;
  /** The watch found changes, and the script did not run. */
  readonly found?: Found;
}

/** The contents of the files beside the database. */
export interface Examined {
  /** Size and modification time of the database. */
  readonly database: string;
  readonly wal: Uint8Array;
  readonly shm: Uint8Array;
  /** Whether something other than a checkpoint of SQLite has written to the database. */
  readonly overwritten: boolean;
  /** Whether the index claims a copy into the database that did not take place. */
  readonly forged: boolean;
}

/** An error in a form that survives the way between threads. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly errcode: number | undefined;
  readonly code: string | undefined;
  /** Whether the error occurred during a commit. */
  readonly committing: boolean;
}

export type Answer = { readonly id: number } & (
  | { readonly value: Run | Examined | undefined }
  | { readonly failure: Failure }
);
