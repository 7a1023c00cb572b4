import { resolve } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { ApprovalEntry } from "./approval-entry.ts";
import type { Batch } from "./change.ts";
import type { ConversationEntry } from "./conversation-entry.ts";
import type { Journal, JournalOwner, Retention } from "./journal.ts";
import { inUse } from "./journal-errors.ts";
import type { SessionEntry } from "./session-entry.ts";
import type { SessionExtent, SessionRecord } from "./session-record.ts";
import { makeChange } from "./sqlite-changes.ts";
import { inTransaction } from "./sqlite-connection.ts";
import { SqliteExpunging } from "./sqlite-expunging.ts";
import { fault, UncertainCommit, unavailable } from "./sqlite-fault.ts";
import { closeFile, type OpenFile, openFile, refuseIfReplaced, seemsReplaced, waitForDisk } from "./sqlite-opening.ts";
import { claim } from "./sqlite-owner.ts";
import { pruning } from "./sqlite-pruning.ts";
import { approvalOf, conversationOf, sessionOf, turnOf, usageOf } from "./sqlite-rows.ts";
import { MIGRATIONS } from "./sqlite-schema.ts";
import { usageQuestion } from "./sqlite-usage.ts";
import { fromText, toText } from "./stored-text.ts";
import type { TurnEntry } from "./turn-entry.ts";
import type { UsageEntry, UsageQuery } from "./usage-entry.ts";

/** Where a journal in a SQLite file is. */
export interface SqliteOptions {
  /**
   * The path of the file; a relative one begins at the working directory. What is not there is made when the journal is
   * opened: the folder with mode 0700 and a `.gitignore`, the file with mode 0600. It has to be on a local disk.
   */
  readonly sqlite: string;
}

/** What a test can put in the place of the real thing. */
interface SqliteParts {
  readonly clock: Clock;
  readonly migrations: readonly string[];
}

/**
 * A journal in a SQLite file, for one application at a time; other programs can read it meanwhile. A batch that is `durable`
 * waits for the disk, and takes all before it along; until then the others outlive the application, but not a loss of power.
 *
 * Damage to the file is found where it is read or written, and not before: to look for it takes longer the larger the file is.
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
  readonly place: string;
  readonly #parts: SqliteParts;
  #file: OpenFile | undefined;
  #expunging: SqliteExpunging | undefined;

  constructor(place: string, parts: SqliteParts) {
    this.place = place;
    this.#parts = parts;
  }

  async open(owner: JournalOwner): Promise<void> {
    const held = this.#file;
    if (held !== undefined && held.owner.id !== owner.id) throw inUse(this.place, held.owner);
    try {
      await this.#expunging?.free();
      if (held !== undefined) claim(held.database, owner);
      else {
        this.#file = await openFile(this.place, { owner, ...this.#parts });
        this.#expunging = new SqliteExpunging(this.#file, this.place, this.#parts.clock);
      }
    } catch (error) {
      throw unavailable(this.place, error);
    }
  }

  async close(): Promise<void> {
    const [file, expunging] = [this.#file, this.#expunging];
    [this.#file, this.#expunging] = [undefined, undefined];
    await expunging?.close();
    if (file !== undefined) closeFile(file);
  }

  async write({ number, changes, durable }: Batch): Promise<void> {
    await this.#expunging?.free();
    const file = this.#opened();
    try {
      if (seemsReplaced(file)) await refuseIfReplaced(file);
      waitForDisk(file, durable);
      inTransaction(file.database, () => {
        if (!this.#isNext(file, number)) return;
        for (const change of changes) makeChange(file.statements, change);
      });
    } catch (error) {
      throw unavailable(this.place, error, error instanceof UncertainCommit ? undefined : false);
    }
  }

  async sessions(keys: readonly string[]): Promise<SessionEntry[]> {
    return this.#read(({ statements }) => statements.sessions.all(toTexts(keys))).map(sessionOf);
  }

  async unfinishedBeginning(keyPrefix: string): Promise<string[]> {
    const prefix = toText(keyPrefix);
    const rows = this.#read(({ statements }) => statements.unfinishedBeginning.all(prefix, prefix));
    return rows.map(({ session }) => fromText(String(session))).toSorted();
  }

  async turn(id: string): Promise<TurnEntry | undefined> {
    const row = this.#read(({ statements }) => statements.turn.get(toText(id)));
    return row === undefined ? undefined : turnOf(row);
  }

  async unfinishedTurns(sessions: readonly string[]): Promise<TurnEntry[]> {
    return this.#read(({ statements }) => statements.unfinishedTurns.all(toTexts(sessions))).map(turnOf);
  }

  async approvals(session: string, limit: number): Promise<ApprovalEntry[]> {
    return this.#read(({ statements }) => statements.approvals.all(toText(session), limit)).map(approvalOf);
  }

  async conversations(session: string): Promise<ConversationEntry[]> {
    return this.#read(({ statements }) => statements.conversations.all(toText(session))).map(conversationOf);
  }

  async *records(session: string): AsyncGenerator<SessionRecord, void, undefined> {
    const key = toText(session);
    for (const { seq } of this.#read(({ statements }) => statements.turnsOf.all(key))) {
      const row = this.#read(({ statements }) => statements.turnAt.get(seq ?? 0));
      if (row !== undefined) yield { type: "turn", turn: turnOf(row) };
    }
    for (const { seq } of this.#read(({ statements }) => statements.approvalsOf.all(key))) {
      const row = this.#read(({ statements }) => statements.approvalAt.get(seq ?? 0));
      if (row !== undefined) yield { type: "approval", approval: approvalOf(row) };
    }
  }

  async extent(session: string): Promise<SessionExtent> {
    const key = toText(session);
    const row = this.#read(({ statements }) => statements.extent.get(key, key));
    return { turns: Number(row?.["turns"]), approvals: Number(row?.["approvals"]) };
  }

  async usage(query: UsageQuery): Promise<UsageEntry[]> {
    const { sql, parameters } = usageQuestion(query);
    return this.#read(({ database }) => database.prepare(sql).all(...parameters)).map(usageOf);
  }

  async prune(retention: Retention): Promise<number> {
    let sum = 0;
    const steps = this.#read(({ statements }) => pruning(statements, retention));
    for (;;) {
      await this.#expunging?.free();
      const { done, value } = this.#read(() => steps.next());
      if (done === true) return sum;
      sum += value;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async expunge(urgent: boolean): Promise<void> {
    this.#opened();
    await this.#expunging?.expunge(urgent);
  }

  /** Whether the batch is to be made: not if it was already. */
  #isNext({ statements, owner }: OpenFile, number: number): boolean {
    if (Number(statements.count.run(number, toText(owner.id), number).changes) === 1) return true;
    if (statements.isOwner.get(toText(owner.id)) !== undefined) return false;
    const message = `The journal ${this.place} was taken over by another application. Let one application use it at a time.`;
    throw new CastellanError("NOT_OWNER", message);
  }

  #read<Result>(question: (file: OpenFile) => Result): Result {
    const file = this.#opened();
    try {
      return question(file);
    } catch (error) {
      throw unavailable(this.place, error);
    }
  }

  #opened(): OpenFile {
    if (this.#file !== undefined) return this.#file;
    throw fault(this.place, "failed", "it is not open", { applied: false, advice: "Open it first." });
  }
}

/** Any number of texts as one parameter. */
function toTexts(texts: readonly string[]): string {
  return JSON.stringify(texts.map(toText));
}
