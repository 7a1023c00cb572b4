import type { SQLInputValue } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { checksumming } from "./sqlite-checksum.ts";
import { isUncertain, UncertainCommit } from "./sqlite-fault.ts";
import type { Answer, AskedStep, Examined, Failure, Question, Row, Run, Running, Step } from "./sqlite-messages.ts";
import { serve } from "./sqlite-thread-work.ts";
import { watching } from "./sqlite-watch.ts";

/**
 * How long a query waits in its thread for another program's lock, in milliseconds. Readers lock nobody out; only a
 * manual write does.
 */
const BUSY_MS = 100;

/**
 * From this number of frames of a page on, the thread copies the log into the database once it has nothing to do; from
 * the second on, SQLite does so in a commit, which takes as long as the disk. A block of the log's index has 4,062 frames.
 */
const CHECKPOINT_FRAMES = { whenIdle: 1_000, always: 3_000 };

/**
 * Bundlers that keep names insert calls of `__name` into the source of functions. Early releases of Node 24 warn about
 * `node:sqlite` in each thread; Deno refuses threads with the flag against that.
 */
const WORK = `
  globalThis.__name ??= (named) => named;
  const { emitWarning } = process;
  process.emitWarning = () => {};
  const { DatabaseSync } = require("node:sqlite");
  process.emitWarning = emitWarning;
  (${serve})(
    require("node:worker_threads").parentPort,
    DatabaseSync,
    (${watching})(require("node:fs"), ${CHECKPOINT_FRAMES.always}),
    (${checksumming})(require("node:zlib").crc32),
    ${JSON.stringify(CHECKPOINT_FRAMES)},
  );
`;

interface ConnectOptions {
  readonly readOnly?: boolean;
  /** @defaultValue 100 */
  readonly busyMs?: number;
}

/**
 * A worker thread for SQLite, so that the process does not wait for disks and locks. The thread does not keep the
 * process alive, but a pending question does.
 */
export class SqliteThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PromiseWithResolvers<Run | Examined | undefined>>();
  /** The numbers of the statements that the thread knows, by their text. */
  readonly #statements = new Map<string, number>();
  #questions = 0;
  #connections = 0;
  #ended: Error | undefined;

  constructor() {
    this.#worker = new Worker(WORK, { eval: true });
    this.#worker.on("message", (answer: Answer) => this.#answered(answer));
    this.#worker.once("error", (error) => this.#end(error));
    this.#worker.once("exit", (code) => this.#end(new Error(`the thread of the file ended with code ${code}`)));
    this.#worker.unref();
  }

  /** Whether the thread has ended by itself. */
  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** Opens the file at a path or `file:` URL without reading it. */
  async connect(
    location: string,
    { readOnly = false, busyMs = BUSY_MS }: ConnectOptions = {},
  ): Promise<SqliteConnection> {
    const connection = ++this.#connections;
    await this.ask({ ask: "open", connection, location, readOnly, busyMs });
    return new SqliteConnection(this, connection);
  }

  /** @throws Error with the `errcode` of SQLite or the `code` of the system; UncertainCommit */
  async ask(question: Question): Promise<Run | Examined | undefined> {
    return await this.#post(question);
  }

  /** As `ask`. Throws at once if the question cannot be sent. */
  #post(question: Question): Promise<Run | Examined | undefined> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = ++this.#questions;
    const answered = Promise.withResolvers<Run | Examined | undefined>();
    this.#worker.postMessage({ id, question });
    if (this.#waiting.size === 0) this.#worker.ref();
    this.#waiting.set(id, answered);
    return answered.promise;
  }

  /** Runs a script on a connection. @throws as `ask` */
  async run(connection: number, steps: readonly Step[], running: Running): Promise<Run> {
    const statements: string[] = [];
    const numberOf = (sql: string): number => {
      const known = this.#statements.get(sql);
      if (known !== undefined) return known;
      const at = statements.indexOf(sql);
      return this.#statements.size + (at === -1 ? statements.push(sql) - 1 : at);
    };
    const asked = steps.map(({ sql, parameters, want, mustChange, script }): AskedStep => {
      if (script === true) return [sql];
      if (mustChange !== undefined) return [numberOf(sql), parameters, want, mustChange];
      return want === undefined ? [numberOf(sql), parameters] : [numberOf(sql), parameters, want];
    });
    const answered = this.#post({ ask: "run", connection, steps: asked, statements, running });
    for (const sql of statements) this.#statements.set(sql, this.#statements.size);
    return (await answered) as Run;
  }

  /** Ends the thread and drops its pending work. */
  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) this.#worker.unref();
    if ("failure" in answer) waiting?.reject(errorOf(answer.failure));
    else waiting?.resolve(answer.value);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    // The pending work may have taken effect.
    for (const waiting of this.#waiting.values()) waiting.reject(new UncertainCommit(this.#ended));
    this.#waiting.clear();
  }
}

/** A connection to a SQLite file, in its thread. */
export class SqliteConnection {
  readonly #thread: SqliteThread;
  readonly #number: number;

  constructor(thread: SqliteThread, number: number) {
    this.#thread = thread;
    this.#number = number;
  }

  /** Runs a script without interleaving others. @throws as `SqliteThread.ask` */
  async run(steps: readonly Step[], running: Running = {}): Promise<Run> {
    return await this.#thread.run(this.#number, steps, running);
  }

  /** Runs any number of statements. */
  async exec(sql: string): Promise<void> {
    await this.run([{ sql, script: true }]);
  }

  async get(sql: string, ...parameters: SQLInputValue[]): Promise<Row | undefined> {
    const { results } = await this.run([{ sql, parameters, want: "row" }]);
    return results[0] as Row | undefined;
  }

  async all(sql: string, ...parameters: SQLInputValue[]): Promise<readonly Row[]> {
    const { results } = await this.run([{ sql, parameters, want: "rows" }]);
    return results[0] as readonly Row[];
  }

  /** Runs a statement. Resolves with the number of changed rows. */
  async change(sql: string, ...parameters: SQLInputValue[]): Promise<number> {
    const { results } = await this.run([{ sql, parameters, want: "changes" }]);
    return results[0] as number;
  }

  /** Watches the files, which are at `path`. */
  async watch(path: string): Promise<void> {
    await this.#thread.ask({ ask: "watch", connection: this.#number, path });
  }

  /** Writes a mark beside the watched files. */
  async mark(text: string): Promise<void> {
    await this.run([], { mark: text });
  }

  async examine(): Promise<Examined> {
    return (await this.#thread.ask({ ask: "examine", connection: this.#number })) as Examined;
  }

  async settle(): Promise<void> {
    await this.#thread.ask({ ask: "settle", connection: this.#number });
  }

  async reindex(): Promise<void> {
    await this.#thread.ask({ ask: "reindex", connection: this.#number });
  }

  async saveLog(): Promise<void> {
    await this.#thread.ask({ ask: "save log", connection: this.#number });
  }

  async close(): Promise<void> {
    await this.#thread.ask({ ask: "close", connection: this.#number });
  }
}

function errorOf({ name, message, errcode, code, committing }: Failure): Error {
  const Kind = name === "TypeError" ? TypeError : name === "RangeError" ? RangeError : Error;
  const known = { ...(errcode !== undefined && { errcode }), ...(code !== undefined && { code }) };
  const error = Object.assign(new Kind(message), known);
  return committing && isUncertain(error) ? new UncertainCommit(error) : error;
}
