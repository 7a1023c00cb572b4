import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import type { Duration } from "../../duration.ts";
import { type HeldJournal, type HeldJournalDeps, holdJournal, type JournalTerms } from "../../journal/held-journal.ts";
import { memoryJournal } from "../../journal/memory/memory-journal.ts";
import type { Journal } from "../../journal/model/journal.ts";
import { postgresJournal } from "../../journal/postgres/postgres-journal.ts";
import { sqliteJournal } from "../../journal/sqlite/sqlite-journal.ts";
import { durationSchema, validate } from "../../session/options/validation.ts";

/** Where a journal is kept. */
export type JournalPlace =
  /** A file of SQLite, which is created if there is none. */
  | { readonly sqlite: string }
  /** A database of PostgreSQL, and a schema in it, which is created if there is none. Default `"castellan"`. */
  | { readonly postgres: string; readonly schema?: string };

/** How a journal is kept. */
export interface JournalKeeping {
  /** How long to wait for an application that has the journal open. Default: not at all; it is refused at once. */
  readonly waitForOwner?: Duration;
  /**
   * Which of the turns that have ended are kept: for how long, and how many of each session. Default 30 days and 1,000.
   * What they cost is kept.
   */
  readonly retention?: { readonly maxAge?: Duration; readonly maxTurns?: number };
}

/**
 * The record of sessions, turns and costs that outlives the application: in a file, in a database, in a journal of the
 * application's own, or, with `"memory"`, not at all.
 */
export type JournalOptions = "memory" | (JournalPlace & JournalKeeping) | Journal;

/** Where the journal is if nobody says so. */
const DEFAULT_PATH = join(".castellan", "castellan.db");

/** Says where the journal is, for an application that does not: `memory`, the path of a file, or the URL of a database. */
export const JOURNAL_VARIABLE = "CASTELLAN_JOURNAL";

const keepingShape = {
  waitForOwner: durationSchema.optional(),
  retention: z
    .strictObject({ maxAge: durationSchema.optional(), maxTurns: z.int().nonnegative().optional() })
    .optional(),
};

const sqliteSchema = z.strictObject({
  sqlite: z
    .string()
    .min(1)
    // The password in it would be in the name of a folder.
    .refine(
      (path) => !/^[a-z][a-z\d+.-]*:\/\//i.test(path),
      "expected the path of a file, and this is a URL; a database is `{ postgres: url }`",
    ),
  ...keepingShape,
});

const postgresSchema = z.strictObject({
  postgres: z.string().regex(/^postgres(ql)?:\/\//, "expected a URL that begins with postgres:// or postgresql://"),
  schema: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,62}$/, "expected a name of lower-case letters, digits and underscores")
    .optional(),
  ...keepingShape,
});

/** @throws CastellanError `INVALID_OPTIONS` */
export function checkJournal(options: JournalOptions | undefined): JournalOptions {
  const given = options === undefined ? fromEnvironment(process.env[JOURNAL_VARIABLE]) : options;
  if (given === "memory" || isJournal(given)) return given;
  if (typeof given === "object" && given !== null && "postgres" in given) {
    validate(postgresSchema, given, "supervisor", "journal");
  } else validate(sqliteSchema, given, "supervisor", "journal");
  return given;
}

/** Opens the journal. @throws CastellanError `JOURNAL_IN_USE`, `JOURNAL_UNAVAILABLE` */
export async function openJournal(options: JournalOptions, deps: HeldJournalDeps): Promise<HeldJournal> {
  if (options === "memory") return await holdJournal(Symbol("memory"), memoryJournal, termsOf({}), deps);
  if (isJournal(options)) return await holdJournal(options, () => options, termsOf({}), deps);
  if ("sqlite" in options) {
    const path = canonical(options.sqlite);
    return await holdJournal(path, () => sqliteJournal({ sqlite: path }), termsOf(options), deps);
  }
  const { postgres, schema = "castellan" } = options;
  const make = (): Journal => postgresJournal({ postgres, schema, clock: deps.clock });
  return await holdJournal(`${postgres} ${schema}`, make, termsOf(options), deps);
}

function fromEnvironment(value: string | undefined): JournalOptions {
  if (value === "memory") return "memory";
  if (value?.match(/^postgres(ql)?:\/\//)) return { postgres: value };
  return { sqlite: value || DEFAULT_PATH };
}

function termsOf(keeping: JournalKeeping): JournalTerms {
  const { waitForOwner, retention } = z.object(keepingShape).parse(keeping);
  return {
    waitForOwnerMs: waitForOwner ?? 0,
    maxAgeMs: retention?.maxAge ?? 30 * 24 * 60 * 60_000,
    maxTurns: retention?.maxTurns ?? 1_000,
  };
}

function isJournal(value: unknown): value is Journal {
  return typeof value === "object" && value !== null && "write" in value && typeof value.write === "function";
}

/** The same for two ways to the same file, also while it is not there yet. */
function canonical(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync(absolute);
  } catch {
    const folder = dirname(absolute);
    return folder === absolute ? absolute : join(canonical(folder), basename(absolute));
  }
}
