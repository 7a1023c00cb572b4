import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import type { MemorySize } from "../../capacity/memory-size.ts";
import type { Duration } from "../../duration.ts";
import { CastellanError } from "../../errors.ts";
import { memoryJournal } from "../../journal/memory/memory-journal.ts";
import type { Journal } from "../../journal/model/journal.ts";
import {
  type JournalTerms,
  openSharedJournal,
  type SharedJournal,
  type SharedJournalDeps,
} from "../../journal/shared-journal.ts";
import { durationSchema, memorySchema, validate } from "../../session/options/validation.ts";

/** Where a journal is stored. */
export type JournalLocation =
  /** A SQLite file; created if missing. */
  | { readonly sqlite: string }
  /** A PostgreSQL database and a schema in it; the schema is created if missing. Default `"castellan"`. */
  | { readonly postgres: string; readonly schema?: string };

/** Options of a journal in a file or a database. */
export interface StoredJournalOptions {
  /**
   * How long to wait for another process that has the journal open, and how long its running turns may take after it has
   * handed the journal over.
   *
   * If the other process has this option too, and runs on this machine as this user, it hands the journal over once this one is
   * ready: its running turns finish there and are written through this process, everything else runs here, and it passes on what
   * its callers ask. At the limit, the turns that still run there are settled by `onInterruptedTurn`. Any other process is waited
   * for until it ends. Needs a journal in a SQLite file or in PostgreSQL. See `Supervisor.handedOver`.
   *
   * Default: do not wait, reject with `JOURNAL_IN_USE`, and hand the journal over to nobody.
   */
  readonly waitForOwner?: Duration;
  /** What is kept of ended turns and of events. Costs are kept for ever. */
  readonly retention?: JournalRetention;
  /**
   * Whether the journal keeps the transcripts of conversations. `"journal"`: it does, so that the file or the database
   * alone brings every session back with its conversation; Claude Code's own files are copies. `"local"`: only Claude
   * Code's files have them. Default `"journal"`.
   */
  readonly transcripts?: "journal" | "local";
}

/** How much a journal keeps. Per session, it deletes the oldest turns and the events with the lowest numbers first. */
export interface JournalRetention {
  /** How long ended turns and events are kept. Default 30 days. */
  readonly maxAge?: Duration;
  /** How many ended turns of each session are kept. Default 1,000. */
  readonly maxTurns?: number;
  /** How many events of each session are kept. Default 100,000. */
  readonly maxEvents?: number;
  /** How many bytes of events of each session are kept, with their contents. Default `"256MB"`. */
  readonly maxEventBytes?: MemorySize;
}

/**
 * The record of sessions, turns and costs that outlives the application: in a file, in a database, in a journal of your own, or,
 * with `"memory"`, not at all.
 */
export type JournalOptions = "memory" | (JournalLocation & StoredJournalOptions) | Journal;

/** The file of the journal when neither the options nor the environment name one. */
const DEFAULT_PATH = join(".castellan", "castellan.db");

/**
 * The environment variable for the journal of an application that does not configure one: `memory`, a file path, or a database
 * URL.
 */
export const JOURNAL_VARIABLE = "CASTELLAN_JOURNAL";

const storedShape = {
  waitForOwner: durationSchema.optional(),
  transcripts: z.enum(["journal", "local"]).optional(),
  retention: z
    .strictObject({
      maxAge: durationSchema.optional(),
      maxTurns: z.int().nonnegative().optional(),
      maxEvents: z.int().nonnegative().optional(),
      maxEventBytes: memorySchema.optional(),
    })
    .optional(),
};

const sqliteSchema = z.strictObject({
  sqlite: z
    .string()
    .min(1)
    // A URL taken for a path would put its password into a folder name.
    .refine(
      (path) => !/^[a-z][a-z\d+.-]*:\/\//i.test(path),
      "expected a file path, not a URL; for a database use `{ postgres: url }`",
    ),
  ...storedShape,
});

const postgresSchema = z.strictObject({
  postgres: z.string().regex(/^postgres(ql)?:\/\//, "expected a URL that begins with postgres:// or postgresql://"),
  schema: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,62}$/, "expected a name of lower-case letters, digits and underscores")
    .optional(),
  ...storedShape,
});

/** Returns the journal's options, or those of the environment. @throws CastellanError `INVALID_OPTIONS` */
export function checkJournal(options: JournalOptions | undefined): JournalOptions {
  const given = options === undefined ? fromEnvironment(process.env[JOURNAL_VARIABLE]) : options;
  if (given === "memory" || isJournal(given)) return given;
  if (typeof given === "object" && given !== null && "postgres" in given) {
    validate(postgresSchema, given, "supervisor", "journal");
  } else validate(sqliteSchema, given, "supervisor", "journal");
  return given;
}

/** Whether a journal with these options keeps the transcripts. */
export function keepsTranscripts(options: JournalOptions): boolean {
  if (options === "memory") return false;
  return isJournal(options) ? options.transcripts !== undefined : options.transcripts !== "local";
}

/** Opens the journal. @throws CastellanError `JOURNAL_IN_USE`, `JOURNAL_UNAVAILABLE` */
export async function openJournal(options: JournalOptions, deps: SharedJournalDeps): Promise<SharedJournal> {
  // A copy of the transcripts would end with the application, too.
  if (options === "memory")
    return await openSharedJournal(Symbol("memory"), memoryJournal, termsOf({ transcripts: "local" }), deps);
  if (isJournal(options)) return await openSharedJournal(options, () => options, termsOf({}), deps);
  if ("sqlite" in options) {
    const { sqliteJournal } = await loaded(import("../../journal/sqlite/sqlite-journal.ts"));
    const path = canonical(options.sqlite);
    return await openSharedJournal(path, () => sqliteJournal({ sqlite: path }), termsOf(options), deps);
  }
  const { postgresJournal } = await loaded(import("../../journal/postgres/postgres-journal.ts"));
  const { postgres, schema = "castellan" } = options;
  const make = (): Journal => postgresJournal({ postgres, schema, clock: deps.clock });
  return await openSharedJournal(`${postgres} ${schema}`, make, termsOf(options), deps);
}

/**
 * Returns the module of a journal. It is loaded on demand: an application has one of them, and a client of a server has none.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`, for example if the process can open no further file
 */
async function loaded<Module>(module: Promise<Module>): Promise<Module> {
  try {
    return await module;
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const message = `The code of the journal could not be loaded: ${words}`;
    throw new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "failed" }, cause: error });
  }
}

function fromEnvironment(value: string | undefined): JournalOptions {
  if (value === "memory") return "memory";
  if (value?.match(/^postgres(ql)?:\/\//)) return { postgres: value };
  return { sqlite: value || DEFAULT_PATH };
}

function termsOf(options: StoredJournalOptions): JournalTerms {
  const { waitForOwner, retention, transcripts = "journal" } = z.object(storedShape).parse(options);
  return {
    waitForOwnerMs: waitForOwner ?? 0,
    maxAgeMs: retention?.maxAge ?? 30 * 24 * 60 * 60_000,
    maxTurns: retention?.maxTurns ?? 1_000,
    maxEvents: retention?.maxEvents ?? 100_000,
    maxEventBytes: retention?.maxEventBytes ?? 256 * 1024 ** 2,
    keepsTranscripts: transcripts === "journal",
  };
}

function isJournal(value: unknown): value is Journal {
  return typeof value === "object" && value !== null && "write" in value && typeof value.write === "function";
}

/** Returns the same path for two ways to the same file, even before the file exists. */
function canonical(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync(absolute);
  } catch {
    const folder = dirname(absolute);
    return folder === absolute ? absolute : join(canonical(folder), basename(absolute));
  }
}
