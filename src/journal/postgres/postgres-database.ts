import type { ClientConfig, Pool, PoolClient, QueryResultRow } from "pg";
import type { CastellanError } from "../../errors.ts";
import {
  faultOf,
  notOpen,
  type PostgresSubject,
  type PostgresUse,
  stateOf,
  subjectOf,
  unavailable,
  wordsOf,
} from "./postgres-fault.ts";
import type { PostgresLocation } from "./postgres-location.ts";

/** Runs a statement and tells its rows. */
export type Query = <Row extends QueryResultRow>(text: string, values?: readonly unknown[]) => Promise<Row[]>;

/** A statement and its parameters. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** How a transaction is made. */
export interface TransactionOptions {
  /** Whether to wait until it would survive a crash of the server as well. Default: as the server is set. */
  readonly durable?: boolean;
}

/** How a database is used. */
export interface DatabaseTerms {
  /** How long a statement may take. */
  readonly timeoutMs: number;
  /** How many connections there are at most. Default: 4. */
  readonly connections?: number;
  /** How long a transaction may do nothing before it is ended with all its locks. Default: half of `timeoutMs`. */
  readonly idleMs?: number;
}

const CONNECT_MS = 5_000;
/** How long a connection that others use is waited for. None of them keeps it for long, but many may wait. */
const QUEUE_MS = 60_000;
/** By how much longer than the server, which says what it could not do in time, the wait for its answer is. */
const GRACE_MS = 2_000;
/** What is written here relies on each statement seeing what others have committed, whatever the server's default is. */
const BEGIN = "begin isolation level read committed";

/**
 * A few connections to a database. Nothing outlasts a transaction on them, so that they may go through a pooler that gives
 * each transaction another connection: no session settings, no prepared statements with names, no session locks.
 */
export class PostgresDatabase {
  /** For errors. */
  readonly subject: PostgresSubject;
  readonly schema: string;
  readonly #pool: Pool;
  /** The connections that are in use. */
  readonly #busy: Set<PoolClient> = new Set();
  /** Those who wait for one. */
  readonly #waiting: Set<PromiseWithResolvers<PoolClient>> = new Set();
  readonly #settings: string;
  #closed = false;

  private constructor(pool: Pool, subject: PostgresSubject, schema: string, timeoutMs: number, idleMs: number) {
    this.#pool = pool;
    pool.on("acquire", (client) => this.#busy.add(client));
    pool.on("release", (_, client) => this.#busy.delete(client));
    this.subject = subject;
    this.schema = schema;
    this.#settings = [
      `set local search_path to "${schema}"`,
      `set local statement_timeout to ${timeoutMs}`,
      `set local idle_in_transaction_session_timeout to ${idleMs}`,
    ].join("; ");
  }

  /**
   * Connects to nothing yet.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE` or `DATABASE_UNAVAILABLE`, by `use`, if `pg` is not installed
   */
  static async load(
    { url, schema, label }: PostgresLocation,
    use: PostgresUse,
    // Whoever waits for the locks of an application that stands still should get them in time.
    { timeoutMs, connections = 4, idleMs = timeoutMs / 2 }: DatabaseTerms,
    importPg: () => Promise<Pick<typeof import("pg"), "Client" | "Pool">> = () => import("pg"),
  ): Promise<PostgresDatabase> {
    const subject = subjectOf(use, { label });
    const { Client, Pool } = await importPg().catch((cause: unknown) => {
      const advice = "npm install pg";
      const what = 'it needs the package "pg", which could not be loaded';
      throw unavailable(subject, "failed", what, { applied: false, advice, cause });
    });
    const pool = new Pool({
      // A server that does not answer is given up sooner than a connection that others use: that says nothing of the server.
      Client: class extends Client {
        constructor(config?: string | ClientConfig) {
          super({ ...(typeof config === "object" && config), connectionTimeoutMillis: CONNECT_MS });
        }
      },
      connectionTimeoutMillis: QUEUE_MS,
      connectionString: url,
      application_name: "castellan",
      max: connections,
      query_timeout: timeoutMs + GRACE_MS,
      allowExitOnIdle: true,
      keepAlive: true,
      pipeline: true,
    });
    // Whoever uses a connection hears of its loss; unheard, the event would end the application.
    pool.on("error", () => {});
    pool.on("connect", (client) => client.on("error", () => {}));
    return new PostgresDatabase(pool, subject, schema, timeoutMs, idleMs);
  }

  /** @throws CastellanError as {@link PostgresDatabase.load} */
  async read<Row extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const [rows] = await this.readBoth<Row, never>({ text, values });
    return rows;
  }

  /** The rows of a statement, and of another one that is run after it. @throws CastellanError as {@link PostgresDatabase.load} */
  async readBoth<Row extends QueryResultRow, Other extends QueryResultRow>(
    { text, values }: Statement,
    other?: Statement,
  ): Promise<readonly [Row[], Other[]]> {
    const client = await this.#connect();
    try {
      const [, { rows }, others] = await Promise.all([
        client.query(`${BEGIN}, read only; ${this.#settings}`),
        client.query<Row>(text, [...values]),
        other === undefined ? undefined : client.query<Other>(other.text, [...other.values]),
        client.query("commit"),
      ]);
      client.release();
      return [rows, others?.rows ?? []];
    } catch (error) {
      client.release(true);
      throw this.#fault(error, false);
    }
  }

  /**
   * Runs `work` in a transaction, which is rolled back if it rejects. Statements that it does not await go out together.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE` or `DATABASE_UNAVAILABLE`, by use, without `details.applied` if only the commit can have gone either way;
   * whatever `work` throws
   */
  async transaction<Result>(
    work: (query: Query) => Promise<Result>,
    { durable = true }: TransactionOptions = {},
  ): Promise<Result> {
    const client = await this.#connect();
    const query: Query = async <Row extends QueryResultRow>(text: string, values: readonly unknown[] = []) => {
      try {
        return (await client.query<Row>(text, [...values])).rows;
      } catch (error) {
        throw this.#fault(error, false);
      }
    };
    try {
      const begin = query(`${BEGIN}; ${this.#settings}${durable ? "" : "; set local synchronous_commit to off"}`);
      const [, result] = await Promise.all([begin, work(query)]);
      await this.#commit(client);
      client.release();
      return result;
    } catch (error) {
      await rollBack(client);
      throw error;
    }
  }

  /** Waits for what is under way; refuses what has no connection yet. */
  async close(): Promise<void> {
    this.#refuse();
    await this.#pool.end();
  }

  /** Ends what is under way, and begins nothing any more. */
  abandon(): void {
    this.#refuse();
    for (const client of this.#busy) client.connection.stream.destroy();
  }

  #refuse(): void {
    this.#closed = true;
    for (const waiting of this.#waiting) waiting.reject(notOpen(this.subject));
    this.#waiting.clear();
  }

  async #connect(): Promise<PoolClient> {
    if (this.#closed) throw notOpen(this.subject);
    const waiting = Promise.withResolvers<PoolClient>();
    this.#waiting.add(waiting);
    this.#pool.connect().then(
      (client) => {
        if (this.#waiting.delete(waiting)) waiting.resolve(client);
        else client.release();
      },
      (cause: unknown) => {
        this.#waiting.delete(waiting);
        waiting.reject(unavailable(this.subject, "unreachable", wordsOf(cause), { applied: false, cause }));
      },
    );
    return await waiting.promise;
  }

  async #commit(client: PoolClient): Promise<void> {
    try {
      await client.query("commit");
    } catch (error) {
      throw this.#fault(error, undefined);
    }
  }

  #fault(cause: unknown, applied: false | undefined): CastellanError {
    const state = stateOf(cause);
    const what = `${wordsOf(cause)}${state === undefined ? "" : ` (${state})`}`;
    return unavailable(this.subject, faultOf(state), what, { applied, cause });
  }
}

async function rollBack(client: PoolClient): Promise<void> {
  try {
    await client.query("rollback");
    client.release();
  } catch {
    client.release(true);
  }
}
