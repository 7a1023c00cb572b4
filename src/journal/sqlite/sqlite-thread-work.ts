import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import type { MessagePort } from "node:worker_threads";
import type { Answer, AskedStep, Examined, Failure, Question, Result, Run } from "./sqlite-messages.ts";
import type { SqliteWatch } from "./sqlite-watch.ts";

/**
 * Answers the questions to the thread of a SQLite file, one at a time. The worker receives the source of this function,
 * so that a bundle needs no file for it; it may use only its parameters.
 *
 * @param checkpointFrames the length of the log from which it is copied into the database: in a moment without questions,
 * and in any commit
 */
export function serve(
  port: MessagePort,
  Database: typeof DatabaseSync,
  watch: (path: string) => SqliteWatch,
  checksumOf: (...values: readonly SQLOutputValue[]) => number,
  checkpointFrames: { readonly whenIdle: number; readonly always: number },
): void {
  interface Connection {
    readonly database: DatabaseSync;
    /** The prepared ones, by number. */
    readonly statements: StatementSync[];
    watch?: SqliteWatch;
    durable?: boolean;
  }

  const SQLITE_BUSY = 5;

  /** How long the thread has had no question when it is idle, in milliseconds. */
  const IDLE_MS = 10;

  const connections = new Map<number, Connection>();
  /** The texts of the statements, by number. */
  const texts: string[] = [];
  let committing = false;
  /** The connection whose log is to be copied in the next moment without questions. */
  let due: Connection | undefined;
  let idling: NodeJS.Timeout | undefined;

  function statementOf({ database, statements }: Connection, number: number): StatementSync {
    statements[number] ??= database.prepare(texts[number] ?? "");
    return statements[number];
  }

  /** Takes a step. Returns whether the script goes on. */
  function take(
    connection: Connection,
    [of, parameters = [], want, mustChange]: AskedStep,
    results: Result[],
  ): boolean {
    if (typeof of === "string") {
      connection.database.exec(of);
      return true;
    }
    const statement = statementOf(connection, of);
    if (want === "rows") results.push(statement.all(...parameters));
    else if (want === "row") results.push(statement.get(...parameters));
    else {
      const changes = Number(statement.run(...parameters).changes);
      if (want === "changes") results.push(changes);
      return mustChange !== true || changes > 0;
    }
    return true;
  }

  function takeAll(connection: Connection, steps: readonly AskedStep[]): Run {
    const results: Result[] = [];
    for (const step of steps) if (!take(connection, step, results)) return { results, stopped: true };
    return { results };
  }

  /** Some faults end the transaction, and some rollbacks fail; the next transaction then rolls back. */
  function rollBack(database: DatabaseSync): void {
    if (!database.isTransaction) return;
    try {
      database.exec("ROLLBACK");
    } catch {
      // The first error is the one to report.
    }
  }

  function inTransaction(database: DatabaseSync, work: () => Run): Run {
    rollBack(database);
    database.exec("BEGIN IMMEDIATE");
    try {
      const run = work();
      if (run.stopped === true) {
        rollBack(database);
        return run;
      }
      committing = true;
      database.exec("COMMIT");
      return run;
    } catch (error) {
      rollBack(database);
      throw error;
    }
  }

  function run(connection: Connection, { steps, running }: Extract<Question, { ask: "run" }>): Run {
    const { transaction = false, checked = false, writes = false, durable, mark } = running;
    if (!checked) connection.watch?.guard();
    const found = checked ? connection.watch?.check() : undefined;
    if (found !== undefined) return { results: [], found };
    if (durable !== undefined && connection.durable !== durable) {
      connection.database.exec(`PRAGMA synchronous = ${durable ? "FULL" : "NORMAL"}`);
      connection.durable = durable;
    }
    try {
      const work = (): Run => takeAll(connection, steps);
      const done = transaction ? inTransaction(connection.database, work) : work();
      if (mark !== undefined && done.stopped !== true) connection.watch?.mark(mark);
      return done;
    } finally {
      const frames = writes ? connection.watch?.written() : undefined;
      if (frames !== undefined) due = frames < checkpointFrames.whenIdle ? undefined : connection;
    }
  }

  /** Copies the log into the database, so that no commit has to. If that fails, a commit tries again. */
  function checkpoint({ database, watch }: Connection): void {
    due = undefined;
    try {
      // The next write examines what has happened to the files.
      if (database.isTransaction || watch === undefined || watch.check() !== undefined) return;
      try {
        database.exec("PRAGMA wal_checkpoint(PASSIVE)");
      } finally {
        watch.settle();
      }
    } catch {
      // Such as a full disk, or files that cannot be examined: the next write tells.
    }
  }

  /** Runs while nobody else writes. */
  function examine({ database, watch }: Connection): Examined | undefined {
    rollBack(database);
    try {
      database.exec("BEGIN IMMEDIATE");
    } catch (error) {
      if (failureOf(error).errcode === SQLITE_BUSY) throw error;
      // A damaged file has to be examined, too.
    }
    try {
      return watch?.examine();
    } finally {
      rollBack(database);
    }
  }

  function close(connection: Connection): void {
    try {
      connection.watch?.guard();
      connection.database.close();
    } finally {
      connection.watch?.close();
    }
  }

  function answer(question: Question): Run | Examined | undefined {
    // Also when the connection is closed: numbers go on.
    if (question.ask === "run") texts.push(...question.statements);
    if (question.ask === "open") {
      const { connection, location, readOnly, busyMs } = question;
      const database = new Database(location, { readOnly, timeout: busyMs, enableForeignKeyConstraints: false });
      database.exec(`PRAGMA wal_autocheckpoint = ${checkpointFrames.always}`);
      database.function("row_checksum", { deterministic: true, varargs: true }, checksumOf);
      connections.set(connection, { database, statements: [] });
      return undefined;
    }
    const connection = connections.get(question.connection);
    if (connection === undefined) throw new Error("the connection is closed");
    switch (question.ask) {
      case "run":
        return run(connection, question);
      case "close":
        connections.delete(question.connection);
        if (due === connection) due = undefined;
        close(connection);
        break;
      case "watch":
        connection.watch = watch(question.path);
        break;
      case "examine":
        return examine(connection);
      case "settle":
        connection.watch?.settle();
        break;
      case "reindex":
        connection.watch?.spoil();
        break;
      case "save log":
        connection.watch?.saveLog();
        break;
    }
    return undefined;
  }

  function failureOf(error: unknown): Failure {
    const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
    const told = error instanceof Error ? (error as Error & { errcode?: number; code?: string }) : undefined;
    return { name, message, errcode: told?.errcode, code: told?.code, committing };
  }

  port.on("message", ({ id, question }: { id: number; question: Question }) => {
    committing = false;
    clearTimeout(idling);
    let told: Answer;
    try {
      told = { id, value: answer(question) };
    } catch (error) {
      told = { id, failure: failureOf(error) };
    }
    port.postMessage(told);
    const waiting = due;
    if (waiting !== undefined) idling = setTimeout(() => checkpoint(waiting), IDLE_MS);
  });
}
