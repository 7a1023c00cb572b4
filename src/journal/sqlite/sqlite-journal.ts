import { resolve } from "node:path";
import type { SQLInputValue } from "node:sqlite";
import { type Clock, systemClock } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import type { ApprovalEntry } from "../model/approval-entry.ts";
import type { Batch } from "../model/change.ts";
import type { ConversationEntry } from "../model/conversation-entry.ts";
import type { DeliveryEntry, DeliveryQuery } from "../model/delivery-entry.ts";
import type { ContentEntry, EventEntry, EventExtent, EventQuery } from "../model/event-entry.ts";
import { readPage } from "../model/event-page.ts";
import { pruneEvents } from "../model/event-pruning.ts";
import type { JobEntry } from "../model/job-entry.ts";
import type { Journal, JournalOwner, Retention, SessionExtent, SessionRecord } from "../model/journal.ts";
import { inUse } from "../model/journal-errors.ts";
import { KeptStart } from "../model/kept-start.ts";
import type { SessionEntry } from "../model/session-entry.ts";
import type { SessionListQuery } from "../model/session-list.ts";
import { fromText, toText } from "../model/stored-text.ts";
import type { TranscriptStore } from "../model/transcript-entry.ts";
import type { TurnEntry, TurnQuery } from "../model/turn-entry.ts";
import type { UsageEntry, UsageQuery } from "../model/usage-entry.ts";
import { SavedSupervisors } from "./saved-supervisors.ts";
import { stepsOf } from "./sqlite-changes.ts";
import { EventHeads } from "./sqlite-event-heads.ts";
import { prunableEvents } from "./sqlite-event-pruning.ts";
import { EVENT_SQL, segmentsQuestion } from "./sqlite-event-statements.ts";
import { SqliteExpunging } from "./sqlite-expunging.ts";
import { fault, UncertainCommit, unavailable } from "./sqlite-fault.ts";
import { change } from "./sqlite-guard.ts";
import type { IntegrityReport } from "./sqlite-integrity.ts";
import { formatMark } from "./sqlite-mark.ts";
import type { Row, Step } from "./sqlite-messages.ts";
import {
  checkLargeFile,
  closeFile,
  completeOpening,
  type OpenFile,
  openFile,
  renewClaim,
  restartThread,
} from "./sqlite-opening.ts";
import { recordedOwner, releasingSteps } from "./sqlite-owner.ts";
import { prune } from "./sqlite-pruning.ts";
import { PruningPace } from "./sqlite-pruning-pace.ts";
import {
  approvalOf,
  contentOf,
  conversationOf,
  DamagedRow,
  deliveryOf,
  eventExtentOf,
  jobOf,
  segmentOf,
  sessionOf,
  turnOf,
  usageOf,
} from "./sqlite-rows.ts";
import { MIGRATIONS } from "./sqlite-schema.ts";
import { deliveriesQuestion, SQL, sessionsQuestion, turnsQuestion, usageQuestion } from "./sqlite-statements.ts";
import { type SqliteConnection, SqliteThread } from "./sqlite-thread.ts";
import { sqliteTranscripts } from "./sqlite-transcripts.ts";

/** Location of a journal in a SQLite file. */
export interface SqliteOptions {
  /**
   * Path of the file, relative to the working directory. Opening the journal creates what is missing: the folder with
   * mode 0700 and a `.gitignore`, the file with mode 0600. It must be on a local disk.
   */
  readonly sqlite: string;
}

/** Parts that tests replace. */
interface SqliteParts {
  readonly clock: Clock;
  readonly migrations: readonly string[];
}

/**
 * Returns a journal in a SQLite file, for one application at a time; other programs can read the file meanwhile. A
 * `durable` batch waits for the disk and makes all earlier batches durable. The others survive the application, but not
 * a power loss.
 *
 * Reading a damaged row fails with `reason: "damaged"`. Opening the file also checks for rows that would not be found;
 * a file of more than 64 MB is checked in the background.
 *
 * @example
 * sqliteJournal({ sqlite: ".castellan/castellan.db" });
 */
export function sqliteJournal(
  { sqlite }: SqliteOptions,
  { clock = systemClock, migrations = MIGRATIONS }: Partial<SqliteParts> = {},
): Journal {
  return new SqliteJournal(resolve(sqlite), { clock, migrations });
}

class SqliteJournal implements Journal {
  readonly location: string;
  readonly kind = "sqlite";
  readonly #parts: SqliteParts;
  #file: OpenFile | undefined;
  /** The start of a thread is most of an opening. */
  readonly #kept: KeptStart<SqliteThread>;
  #expunging: SqliteExpunging | undefined;
  #damage: string | undefined;
  /** The damaged events that have been reported. */
  readonly #skipped = new Set<string>();
  readonly #heads = new EventHeads();
  readonly #supervisors = new SavedSupervisors();
  readonly transcripts: TranscriptStore = sqliteTranscripts((entryOf, sql, ...parameters) =>
    this.#entries(entryOf, sql, ...parameters),
  );
  /** Pending while the file is reopened; all calls wait for it. */
  #opening: Promise<void> | undefined;

  constructor(location: string, parts: SqliteParts) {
    this.location = location;
    this.#parts = parts;
    this.#kept = new KeptStart(parts.clock, (thread) => thread.end());
  }

  async open(owner: JournalOwner): Promise<void> {
    const present = this.#file;
    this.#forget();
    if (present !== undefined && present.owner.id !== owner.id) throw inUse(this.location, present.owner);
    try {
      await this.#expunging?.free();
      if (present === undefined) {
        this.#file = await this.#openFile(owner);
        this.#expunging = new SqliteExpunging(this.#file, this.location, this.#parts.clock);
        await this.#expunging.start();
        this.#reportIntegrity(this.#file);
      } else if (present.unwritable === undefined) {
        await renewClaim(present);
        await present.connection.settle();
      }
    } catch (error) {
      throw unavailable(this.location, error);
    }
  }

  async #openFile(owner: JournalOwner): Promise<OpenFile> {
    const kept = this.#kept.take();
    const thread = kept?.hasEnded === false ? kept : new SqliteThread();
    try {
      return await openFile(thread, this.location, { owner, ...this.#parts });
    } catch (error) {
      if (CastellanError.is(error, "JOURNAL_IN_USE")) this.#kept.keep(thread);
      else await thread.end();
      throw error;
    }
  }

  get unwritable(): CastellanError | undefined {
    return this.#file?.unwritable;
  }

  get damage(): string | undefined {
    return this.#damage;
  }

  async close(): Promise<void> {
    this.#damage = undefined;
    this.#skipped.clear();
    const [file, expunging] = [this.#file, this.#expunging];
    [this.#file, this.#expunging] = [undefined, undefined];
    await this.#opening;
    await this.#kept.drop();
    if (file === undefined) return;
    await expunging?.close();
    // Works best effort on a full disk, since the lock decides. Warns about damage to the file.
    if (file.unwritable === undefined) await change(file, releasingSteps(file.owner)).catch(warn);
    await closeFile(file);
  }

  async write({ number, changes, durable }: Batch): Promise<void> {
    await this.#expunging?.free();
    try {
      const file = await this.#writable();
      const counted = [number, toText(file.owner.id), number];
      const events = await this.#heads.begin(changes, (sql, ...parameters) => file.connection.all(sql, ...parameters));
      const steps = [
        { sql: SQL.count, parameters: counted, mustChange: true },
        ...changes.flatMap((one) => stepsOf(one, events, this.#supervisors)),
        ...events.end(),
      ];
      const last = durable ? number : file.durable;
      const mark = formatMark({ ...file.opening, written: number, durable: last });
      const { stopped } = await change(file, steps, { durable, mark });
      if (stopped === true) {
        this.#forget();
        await this.#refuseUnlessOwner(file);
      } else this.#heads.end(events);
      [file.written, file.durable] = [number, last];
    } catch (error) {
      this.#forget();
      throw unavailable(this.location, error, error instanceof UncertainCommit ? undefined : false);
    }
  }

  /** Forgets what it knows of the file's content, which may be another one. */
  #forget(): void {
    this.#heads.clear();
    this.#supervisors.clear();
  }

  async sessions(keys: readonly string[]): Promise<SessionEntry[]> {
    return await this.#entries(sessionOf, SQL.sessions, toTexts(keys));
  }

  async listSessions(query: SessionListQuery): Promise<SessionEntry[]> {
    const { sql, parameters } = sessionsQuestion(query);
    return await this.#read(async (connection) => undamaged(await connection.all(sql, ...parameters), sessionOf));
  }

  async unfinishedBeginning(keyPrefix: string): Promise<string[]> {
    const prefix = toText(keyPrefix);
    const rows = await this.#all(SQL.unfinishedBeginning, prefix, prefix);
    return rows.map(({ session }) => fromText(String(session))).toSorted();
  }

  async turn(id: string): Promise<TurnEntry | undefined> {
    return (await this.#entries(turnOf, SQL.turn, toText(id)))[0];
  }

  async turns(query: TurnQuery): Promise<TurnEntry[]> {
    const { sql, parameters } = turnsQuestion(query);
    return await this.#read(async (connection) => undamaged(await connection.all(sql, ...parameters), turnOf));
  }

  async unfinishedTurns(sessions: readonly string[]): Promise<TurnEntry[]> {
    return await this.#entries(turnOf, SQL.unfinishedTurns, toTexts(sessions));
  }

  async approvals(session: string, limit: number): Promise<ApprovalEntry[]> {
    return await this.#entries(approvalOf, SQL.approvals, toText(session), limit);
  }

  async conversations(session: string): Promise<ConversationEntry[]> {
    return await this.#entries(conversationOf, SQL.conversations, toText(session));
  }

  async *records(session: string): AsyncGenerator<SessionRecord, void, undefined> {
    const key = toText(session);
    for (const { seq } of await this.#all(SQL.turnsOf, key)) {
      const [turn] = await this.#entries(turnOf, SQL.turnAt, seq ?? 0);
      if (turn !== undefined) yield { type: "turn", turn };
    }
    for (const { seq } of await this.#all(SQL.approvalsOf, key)) {
      const [approval] = await this.#entries(approvalOf, SQL.approvalAt, seq ?? 0);
      if (approval !== undefined) yield { type: "approval", approval };
    }
    for await (const job of this.jobs(session)) yield { type: "job", job };
  }

  async job(id: string): Promise<JobEntry | undefined> {
    return (await this.#entries(jobOf, SQL.job, toText(id)))[0];
  }

  async *jobs(session: string): AsyncGenerator<JobEntry, void, undefined> {
    for (const { seq } of await this.#all(SQL.jobsOf, toText(session))) {
      const [job] = await this.#entries(jobOf, SQL.jobAt, seq ?? 0);
      if (job !== undefined) yield job;
    }
  }

  async dueBeginning(keyPrefix: string, until: number): Promise<string[]> {
    const prefix = toText(keyPrefix);
    const rows = await this.#all(SQL.dueBeginning, prefix, prefix, until);
    return rows.map(({ session }) => fromText(String(session))).toSorted();
  }

  async deliveries(query: DeliveryQuery): Promise<DeliveryEntry[]> {
    const { sql, parameters } = deliveriesQuestion(query);
    return await this.#entries((row) => deliveryOf(row, (error) => this.#skip(error)), sql, ...parameters);
  }

  async extent(session: string): Promise<SessionExtent> {
    const key = toText(session);
    const row = await this.#get(SQL.extent, key, key, key);
    return { turns: Number(row?.["turns"]), approvals: Number(row?.["approvals"]), events: Number(row?.["events"]) };
  }

  async events(query: EventQuery): Promise<EventEntry[]> {
    return await this.#read((connection) =>
      readPage(
        query,
        async (wanted) => {
          const { sql, parameters } = segmentsQuestion(wanted);
          return (await connection.all(sql, ...parameters)).map((row) => segmentOf(query.session, row));
        },
        (error) => this.#skip(error),
      ),
    );
  }

  async eventExtent(session: string): Promise<EventExtent | undefined> {
    const parameters = [toText(session)];
    return await this.#read(async (connection) => {
      // One script, so that no deletion comes between.
      const { results } = await connection.run([
        { sql: EVENT_SQL.log, parameters, want: "row" },
        { sql: EVENT_SQL.last, parameters, want: "row" },
      ]);
      const [log, end] = results as readonly (Row | undefined)[];
      return log && eventExtentOf(session, log, end);
    });
  }

  async content(hash: string, session?: string): Promise<ContentEntry | undefined> {
    if (session === undefined) return (await this.#entries(contentOf, EVENT_SQL.content, toText(hash)))[0];
    const key = toText(session);
    return (await this.#entries(contentOf, EVENT_SQL.contentOf, toText(hash), key, key))[0];
  }

  async version(): Promise<string> {
    const [version] = await this.#entries((row) => String(row["version"]), "SELECT sqlite_version() AS version");
    return version ?? "";
  }

  async usage(query: UsageQuery): Promise<UsageEntry[]> {
    const { sql, parameters } = usageQuestion(query);
    return await this.#entries(usageOf, sql, ...parameters);
  }

  async prune(retention: Retention): Promise<number> {
    const pace = new PruningPace(this.#parts.clock);
    const run = (steps: readonly Step[]): Promise<readonly unknown[]> =>
      pace.step(async () => {
        await this.#expunging?.free();
        return (await change(await this.#writable(), steps)).results;
      });
    const remove = async (sql: string, ...parameters: SQLInputValue[]): Promise<number> =>
      Number((await run([{ sql, parameters, want: "changes" }]))[0]);
    const get = (sql: string, ...parameters: SQLInputValue[]) => this.#get(sql, ...parameters);
    const rows = (): number => pace.rows;
    try {
      const turns = await prune({ rows, get, remove }, retention);
      const all = (sql: string, ...parameters: SQLInputValue[]) => this.#all(sql, ...parameters);
      await pruneEvents(prunableEvents({ rows, all, change: run }), retention.events);
      return turns;
    } catch (error) {
      throw unavailable(this.location, error);
    }
  }

  async expunge(urgent: boolean): Promise<void> {
    this.#opened();
    await this.#expunging?.expunge(urgent);
  }

  /** A batch that was already applied is skipped. */
  async #refuseUnlessOwner({ connection, owner }: OpenFile): Promise<void> {
    if ((await recordedOwner(connection)).id === owner.id) return;
    const message = `The journal ${this.location} was taken over by another application. Use it in one application at a time.`;
    throw new CastellanError("NOT_OWNER", message);
  }

  async #entries<Entry>(entryOf: (row: Row) => Entry, sql: string, ...parameters: SQLInputValue[]): Promise<Entry[]> {
    return await this.#read(async (connection) => (await connection.all(sql, ...parameters)).map(entryOf));
  }

  async #all(sql: string, ...parameters: SQLInputValue[]): Promise<readonly Row[]> {
    return await this.#read((connection) => connection.all(sql, ...parameters));
  }

  async #get(sql: string, ...parameters: SQLInputValue[]): Promise<Row | undefined> {
    return await this.#read((connection) => connection.get(sql, ...parameters));
  }

  async #read<Result>(question: (connection: SqliteConnection) => Promise<Result>): Promise<Result> {
    try {
      const { connection } = await this.#readable();
      return await question(connection);
    } catch (error) {
      throw unavailable(this.location, error);
    }
  }

  async #readable(): Promise<OpenFile> {
    await this.#opening?.catch(() => {});
    const file = this.#opened();
    if (!file.thread.hasEnded) return file;
    await this.#reopen(() => restartThread(file));
    return this.#opened();
  }

  async #writable(): Promise<OpenFile> {
    const file = await this.#readable();
    if (file.unwritable === undefined) return file;
    await this.#reopen(async () => {
      Object.assign(file, await completeOpening(file, { owner: file.owner, ...this.#parts }));
      await this.#expunging?.start();
      this.#reportIntegrity(file);
    });
    return this.#opened();
  }

  /** Reports damaged events, which a page leaves out. @throws the error if it is another one */
  #skip(error: unknown): void {
    if (!(error instanceof DamagedRow)) throw error;
    if (this.#skipped.has(error.message) || this.#skipped.size === MOST_REPORTED) return;
    this.#skipped.add(error.message);
    this.#warnOfDamage({ damage: [error.message], repaired: [] });
  }

  /** Reports damage. A check that fails now runs again at the next opening. */
  #reportIntegrity(file: OpenFile): void {
    this.#warnOfDamage({ damage: file.missing === undefined ? [] : [file.missing], repaired: [] });
    if (file.integrity !== undefined) this.#warnOfDamage(file.integrity);
    else checkLargeFile(file.path).then((integrity) => this.#warnOfDamage(integrity), ignore);
  }

  #warnOfDamage({ damage, repaired }: IntegrityReport): void {
    if (repaired.length > 0) {
      const message = `Indexes of the journal ${this.location} were damaged and have been rebuilt: ${repaired.join("; ")}. Nothing is lost.`;
      process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_DAMAGED" });
    }
    if (damage.length === 0) return;
    const message = `The journal ${this.location} is damaged: ${damage.join("; ")}. ${DAMAGE_ADVICE}`;
    this.#damage = this.#damage === undefined ? message : `${this.#damage} ${message}`;
    process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_DAMAGED" });
  }

  async #reopen(open: () => Promise<void>): Promise<void> {
    this.#opening ??= open().finally(() => {
      this.#opening = undefined;
    });
    await this.#opening;
  }

  #opened(): OpenFile {
    if (this.#file !== undefined) return this.#file;
    throw fault(this.location, "failed", "it is not open", { applied: false, advice: "Open it first." });
  }
}

/** How many damaged rows of events to report until the journal is closed. */
const MOST_REPORTED = 20;

const DAMAGE_ADVICE =
  "The undamaged part is usable; damaged rows may not be found. Restore a backup, or save the readable part with `.recover` of the sqlite3 program.";

function ignore(): void {}

function warn(error: unknown): void {
  if (!CastellanError.is(error)) return;
  process.emitWarning(error.message, { type: "CastellanWarning", code: error.code });
}

/** Returns the entries before the first damaged row. @throws DamagedRow if there are none */
function undamaged<Entry>(rows: readonly Row[], entryOf: (row: Row) => Entry): Entry[] {
  const entries: Entry[] = [];
  for (const row of rows) {
    try {
      entries.push(entryOf(row));
    } catch (error) {
      if (!(error instanceof DamagedRow) || entries.length === 0) throw error;
      break;
    }
  }
  return entries;
}

/** Returns any number of texts as one parameter. */
function toTexts(texts: readonly string[]): string {
  return JSON.stringify(texts.map(toText));
}
