import type { Client, ClientConfig, Pool, PoolClient, QueryResultRow } from "pg";
import type { CastellanError } from "../../errors.ts";
import {
  faultOf,
  messageOf,
  notOpen,
  type PostgresSubject,
  type PostgresUse,
  stateOf,
  subjectOf,
  unavailable,
} from "./postgres-fault.ts";
import type { PostgresLocation } from "./postgres-location.ts";

/** Runs a statement and returns its rows. */
export type Query = <Row extends QueryResultRow>(text: string, values?: readonly unknown[]) => Promise<Row[]>;

/** A statement and its parameters. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** A statement of a transaction that is sent at once. */
export interface PipelinedStatement extends Statement {
  /**
   * Whether the statement divides by zero, see {@link requirement}, if the transaction must not commit. Default:
   * `false`.
   */
  readonly isCondition?: boolean;
}

/** Marks a transaction for {@link IN_TRANSACTION}. */
export const MARK_TRANSACTION = "set local castellan.transaction to on";

/**
 * An SQL condition: whether the statement is in a transaction with this mark. If a cancellation hits `begin`, the
 * pipelined statements behind it run each by itself.
 */
export const IN_TRANSACTION: string = "current_setting('castellan.transaction', true) is not distinct from 'on'";

/**
 * Returns an SQL expression that fails unless the condition is true, and in a transaction. An error is the only result
 * of a statement that stops those behind it without waiting for the client.
 */
export function requirement(condition: string): string {
  return `1 / ((${condition}) and ${IN_TRANSACTION})::integer`;
}

/** How to run a transaction. */
export interface TransactionOptions {
  /** Whether the commit waits until it would survive a crash of the server. Default: the server's setting. */
  readonly durable?: boolean;
}

/** How to use a database. */
export interface DatabaseTerms {
  /** Statement timeout, in milliseconds. */
  readonly timeoutMs: number;
  /** Maximum number of connections. Default: 4. */
  readonly connections?: number;
  /** How long a transaction may be idle before the server ends it, in milliseconds. Default: half of `timeoutMs`. */
  readonly idleMs?: number;
}

const CONNECT_MS = 5_000;
/** How long to wait for a pooled connection, in milliseconds. Each use is short, but many may wait. */
const QUEUE_MS = 60_000;
/** How much longer than the server's timeout to wait for its answer, in milliseconds. */
const GRACE_MS = 2_000;
/** The SQLSTATE of a condition that is not met: division by zero. */
const UNMET = "22012";
/** The statements need to see what others have committed, whatever the server's default is. */
const BEGIN = "begin isolation level read committed";

/**
 * A small pool of connections to a database. It keeps no state outside of transactions (no session settings, named
 * prepared statements or session locks), so a transaction pooler is fine.
 */
export class PostgresDatabase {
  /** For errors. */
  readonly subject: PostgresSubject;
  readonly schema: string;
  readonly #pool: Pool;
  /** All connections, also those that are not made yet. */
  readonly #clients: ReadonlySet<Client>;
  /** Callers that wait for a connection. */
  readonly #waiting: Set<PromiseWithResolvers<PoolClient>> = new Set();
  readonly #settings: string;
  #closed = false;

  private constructor(
    pool: Pool,
    clients: ReadonlySet<Client>,
    subject: PostgresSubject,
    { schema, timeoutMs, idleMs }: { readonly schema: string; readonly timeoutMs: number; readonly idleMs: number },
  ) {
    this.#pool = pool;
    this.#clients = clients;
    this.subject = subject;
    this.schema = schema;
    this.#settings = [
      MARK_TRANSACTION,
      `set local search_path to "${schema}"`,
      `set local statement_timeout to ${timeoutMs}`,
      `set local idle_in_transaction_session_timeout to ${idleMs}`,
    ].join("; ");
  }

  /**
   * Creates the pool without connecting.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE` or `DATABASE_UNAVAILABLE`, by `use`, if `pg` is not installed
   */
  static async load(
    { url, schema, label }: PostgresLocation,
    use: PostgresUse,
    // Callers that wait for a suspended application's locks get them before their own timeout.
    { timeoutMs, connections = 4, idleMs = timeoutMs / 2 }: DatabaseTerms,
    importPg: () => Promise<Pick<typeof import("pg"), "Client" | "Pool">> = () => import("pg"),
  ): Promise<PostgresDatabase> {
    const subject = subjectOf(use, { label });
    const pg = await importPg().catch((cause: unknown) => {
      const advice = "npm install pg";
      const what = 'it needs the package "pg", which could not be loaded';
      throw unavailable(subject, "failed", what, { applied: false, advice, cause });
    });
    const clients = new Set<Client>();
    const pool = new pg.Pool({
      // A new connection has a shorter timeout than the wait for a pooled one, which says nothing about the server.
      Client: class extends pg.Client {
        constructor(config?: string | ClientConfig) {
          super({ ...(typeof config === "object" && config), connectionTimeoutMillis: CONNECT_MS });
          clients.add(this);
          this.once("end", () => clients.delete(this));
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
    // The user of a connection gets its error; an unhandled `error` event would end the process.
    pool.on("error", () => {});
    pool.on("connect", (client) => client.on("error", () => {}));
    return new PostgresDatabase(pool, clients, subject, { schema, timeoutMs, idleMs });
  }

  /** @throws CastellanError as {@link PostgresDatabase.load} */
  async read<Row extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const [rows] = await this.readBoth<Row, never>({ text, values });
    return rows;
  }

  /** Runs a statement, and optionally a second one after it. @throws CastellanError as {@link PostgresDatabase.load} */
  async readBoth<Row extends QueryResultRow, Other extends QueryResultRow>(
    { text, values }: Statement,
    other?: Statement,
  ): Promise<readonly [Row[], Other[]]> {
    const client = await this.#connect();
    try {
      const [, { rows }, others] = await inOneWrite(client, () =>
        Promise.all([
          client.query(`${BEGIN}, read only; ${this.#settings}`),
          client.query<Row>(text, [...values]),
          other === undefined ? undefined : client.query<Other>(other.text, [...other.values]),
          client.query("commit"),
        ]),
      );
      client.release();
      return [rows, others?.rows ?? []];
    } catch (error) {
      client.release(true);
      throw this.#fault(error, false);
    }
  }

  /**
   * Runs `work` in a transaction, which rolls back if `work` rejects. Statements that `work` does not await are
   * pipelined.
   *
   * @throws CastellanError as {@link PostgresDatabase.load}, without `details.applied` if only the outcome of the
   * commit is unknown; as `work`
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
      const [, result] = await Promise.all([query(this.#begin(durable)), work(query)]);
      await this.#commit(client);
      client.release();
      return result;
    } catch (error) {
      await rollBack(client);
      throw error;
    }
  }

  /**
   * Runs statements as one transaction in one round trip.
   *
   * @returns whether it has committed; otherwise a condition is not met, and nothing has happened
   * @throws CastellanError as {@link PostgresDatabase.load}, without `details.applied` if the outcome is unknown: the
   * commit is under way from the beginning
   */
  async pipeline(
    statements: readonly PipelinedStatement[],
    { durable = true }: TransactionOptions = {},
  ): Promise<boolean> {
    const client = await this.#connect();
    const begin: PipelinedStatement = { text: this.#begin(durable), values: [] };
    const all = [begin, ...statements, { text: "commit", values: [] }];
    const outcomes = await inOneWrite(client, () =>
      Promise.allSettled(all.map(({ text, values }) => client.query(text, [...values]))),
    );
    const failed = outcomes.findIndex(({ status }) => status === "rejected");
    const outcome = outcomes[failed];
    if (outcome?.status !== "rejected") {
      client.release();
      return true;
    }
    const error: unknown = outcome.reason;
    const state = stateOf(error);
    const isCommit = failed === all.length - 1;
    // The server has ended the transaction by the last outcome, unless the connection is broken.
    client.release(isCommit || outcomes.at(-1)?.status === "rejected");
    if (all[failed]?.isCondition === true && state === UNMET) return false;
    // After an error that the server reports it executes nothing, the commit included.
    throw this.#fault(error, isCommit || state === undefined ? undefined : false);
  }

  #begin(durable: boolean): string {
    return `${BEGIN}; ${this.#settings}${durable ? "" : "; set local synchronous_commit to off"}`;
  }

  /** Waits for running transactions. Rejects callers that wait for a connection. */
  async close(): Promise<void> {
    this.#refuse();
    await this.#pool.end();
  }

  /** Breaks all connections with their transactions, also those that are being made, and makes no more. */
  abandon(): void {
    this.#refuse();
    for (const client of this.#clients) client.connection.stream.destroy();
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
        waiting.reject(unavailable(this.subject, "unreachable", messageOf(cause), { applied: false, cause }));
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
    const what = `${messageOf(cause)}${state === undefined ? "" : ` (${state})`}`;
    return unavailable(this.subject, faultOf(state), what, { applied, cause });
  }
}

/** Sends the queries of `work` in one write: the network then carries few packets, and the server wakes up once. */
async function inOneWrite<Result>(client: PoolClient, work: () => Promise<Result>): Promise<Result> {
  const { stream } = client.connection;
  stream.cork();
  const result = work();
  stream.uncork();
  return await result;
}

async function rollBack(client: PoolClient): Promise<void> {
  try {
    await client.query("rollback");
    client.release();
  } catch {
    client.release(true);
  }
}
