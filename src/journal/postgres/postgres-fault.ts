import { CastellanError, type DatabaseFault } from "../../errors.ts";
import type { PostgresLocation } from "./postgres-location.ts";

/** The use of a PostgreSQL database, for messages. */
export type PostgresUse = "journal" | "cluster" | "session store" | "database";

/** A database in errors. Faults of a journal have the code `JOURNAL_UNAVAILABLE`, all others `DATABASE_UNAVAILABLE`. */
export interface PostgresSubject {
  readonly code: "JOURNAL_UNAVAILABLE" | "DATABASE_UNAVAILABLE";
  /** `The journal postgres://host:5432/app (schema castellan)` */
  readonly label: string;
}

export function subjectOf(use: PostgresUse, { label }: Pick<PostgresLocation, "label">): PostgresSubject {
  const code = use === "journal" ? "JOURNAL_UNAVAILABLE" : "DATABASE_UNAVAILABLE";
  return { code, label: `The ${use} ${label}` };
}

/** Classifies an error of PostgreSQL by its SQLSTATE, which is undefined if the server gave none. */
export function faultOf(state: string | undefined): DatabaseFault {
  if (state === undefined) return "unreachable";
  return FAULTS.find(([states]) => states.test(state))?.[1] ?? "failed";
}

const FAULTS: readonly (readonly [states: RegExp, fault: DatabaseFault])[] = [
  // Connection failures and terminated connections, users and passwords, a missing database, too many connections, a
  // server that starts or stops.
  [/^(08...|25P03|28...|3D000|53300|57P0.)$/, "unreachable"],
  [/^53100$/, "no_space"],
  [/^25006$/, "read_only"],
  // Missing tables and columns, and corruption that the server reports.
  [/^(42P01|42703|3F000|XX00[12])$/, "damaged"],
  // Data that cannot be represented, violates a constraint or exceeds a limit.
  [/^(22...|23...|54...)$/, "refused"],
];

const ADVICE: { readonly [Fault in DatabaseFault]: string } = {
  unreachable: "Check that the server runs, and check address, user and password.",
  no_space: "Free some disk space on the server; Castellan then recovers by itself.",
  read_only: "Use the URL of the primary server, and a user with write permission.",
  damaged: "Castellan leaves the schema unchanged. Restore a backup, or choose another schema.",
  foreign: "Castellan leaves the schema unchanged. Choose another schema.",
  refused: "Nothing was written.",
  failed: "See the server's log.",
};

interface FaultInit {
  /** Whether the write took effect. Left out if unknown. */
  readonly applied?: boolean | undefined;
  readonly cause?: unknown;
  /** What to do, instead of the usual advice. */
  readonly advice?: string;
}

/** Returns the error for a fault of a database. */
export function unavailable(
  { code, label }: PostgresSubject,
  reason: DatabaseFault,
  what: string,
  { applied, cause, advice = ADVICE[reason] }: FaultInit = {},
): CastellanError<PostgresSubject["code"]> {
  const details = applied === undefined ? { reason } : { reason, applied };
  const message = `${label} cannot be used (${reason}): ${what}. ${advice}`;
  return new CastellanError(code, message, { details, cause });
}

/** Returns the error for a call to a database that is not open. */
export function notOpen({ code, label }: PostgresSubject): CastellanError<PostgresSubject["code"]> {
  const details = { reason: "failed", applied: false } as const;
  return new CastellanError(code, `${label} is not open.`, { details });
}

/** Returns the SQLSTATE of an error that the server reported; undefined for all others, such as a lost connection. */
export function stateOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, severity } = error as { readonly code?: unknown; readonly severity?: unknown };
  return typeof code === "string" && severity !== undefined ? code : undefined;
}

/** Returns the server's message, or what happened to the connection. */
export function messageOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return message || code || String(error);
}
