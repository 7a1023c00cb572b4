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

/** Classifies an error by PostgreSQL's SQLSTATE or the code of Node.js; without either, the connection was lost. */
export function faultOf(error: unknown): DatabaseFault {
  const state = stateOf(error);
  if (state !== undefined) return FAULTS.find(([states]) => states.test(state))?.[1] ?? "failed";
  if (!(error instanceof Error)) return "unreachable";
  const { code = "", syscall = "", message }: NodeJS.ErrnoException = error;
  // A file that the URL names, not a socket.
  if (UNTRUSTED.test(code) || message === NO_TLS || syscall === "open") return "untrusted";
  return "unreachable";
}

const FAULTS: readonly (readonly [states: RegExp, fault: DatabaseFault])[] = [
  // Connection failures and terminated connections, users and passwords, a missing database, too many connections, a
  // server that starts or stops.
  [/^(08...|25P03|28...|3D000|53300|57P0.)$/, "unreachable"],
  [/^53100$/, "no_space"],
  [/^25006$/, "read_only"],
  [/^42501$/, "denied"],
  // Missing tables and columns, and corruption that the server reports.
  [/^(42P01|42703|3F000|XX00[12])$/, "damaged"],
  // Data that cannot be represented, violates a constraint or exceeds a limit.
  [/^(22...|23...|54...)$/, "refused"],
];

/** Codes of certificates that cannot be verified, and of failed TLS handshakes. */
const UNTRUSTED =
  /^(UNABLE_TO_|CERT_|CRL_|ERROR_IN_C|DEPTH_ZERO_|SELF_SIGNED_|INVALID_(CA|PURPOSE)$|PATH_LENGTH_|HOSTNAME_MISMATCH$|ERR_TLS_|ERR_SSL_|ERR_OSSL_|EPROTO$)/;

/** The client reports a server without TLS only in words. */
const NO_TLS = "The server does not support SSL connections";

const ADVICE: { readonly [Fault in DatabaseFault]: string } = {
  unreachable: "Check that the server runs, and check address, user and password.",
  untrusted:
    "Castellan sends no password. Check `sslmode`, and the certificates in `sslrootcert`, `sslcert` and `sslkey` of the URL; the certificate of the server must name the host of the URL.",
  denied: "Grant the role what it lacks; the guide to PostgreSQL lists the grants.",
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
  /** SQL statements that grant what the role lacks. */
  readonly grants?: readonly string[];
}

/** Returns the error for a fault of a database. */
export function unavailable(
  { code, label }: PostgresSubject,
  reason: DatabaseFault,
  what: string,
  { applied, cause, advice = ADVICE[reason], grants }: FaultInit = {},
): CastellanError<PostgresSubject["code"]> {
  const details = { reason, ...(applied !== undefined && { applied }), ...(grants && { grants }) };
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
