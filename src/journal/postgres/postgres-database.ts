import type { PoolClient, QueryResultRow } from "pg";
import { CastellanError } from "../../errors.ts";
import { PostgresConnections } from "./postgres-connections.ts";
import {
  faultOf,
  messageOf,
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
  readonly #connections: PostgresConnections;
  readonly #settings: string;

  private constructor(
    connections: PostgresConnections,
    subject: PostgresSubject,
    { schema, timeoutMs, idleMs }: { readonly schema: string; readonly timeoutMs: number; readonly idleMs: number },
  ) {
    this.#connections = connections;
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
    location: PostgresLocation,
    use: PostgresUse,
    // Callers that wait for a suspended application's locks get them before their own timeout.
    { timeoutMs, connections = 4, idleMs = timeoutMs / 2 }: DatabaseTerms,
    importPg: () => Promise<Pick<typeof import("pg"), "Client" | "Pool">> = () => import("pg"),
  ): Promise<PostgresDatabase> {
    const subject = subjectOf(use, location);
    const pg = await importPg().catch((cause: unknown) => {
      const advice = "npm install pg";
      const what = 'it needs the package "pg", which could not be loaded';
      throw unavailable(subject, "failed", what, { applied: false, advice, cause });
    });
    const made = new PostgresConnections(pg, location, subject, { connections, queryMs: timeoutMs + GRACE_MS });
    return new PostgresDatabase(made, subject, { schema: location.schema, timeoutMs, idleMs });
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
    const client = await this.#connections.take();
    try {
      const [, { rows }, others] = await inOneWrite(client, () =>
        Promise.all([
          client.query(`${BEGIN}, read only; ${this.#settings}`),
          client.query<Row>(text, [...values]),
          other === undefined ? undefined : client.query<Other>(other.text, [...other.values]),
          client.query("commit"),
        ]),
      );
      this.#connections.giveBack(client);
      return [rows, others?.rows ?? []];
    } catch (error) {
      this.#connections.giveBack(client, true);
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
    const client = await this.#connections.take();
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
      this.#connections.giveBack(client);
      return result;
    } catch (error) {
      await this.#rollBack(client, error);
      throw error;
    }
  }

  /**
   * Runs statements as one transaction in one round trip.
   *
   * @returns the rows of each statement; undefined if a condition is not met, and nothing has happened
   * @throws CastellanError as {@link PostgresDatabase.load}, without `details.applied` if the outcome is unknown: the
   * commit is under way from the beginning
   */
  async pipeline<Row extends QueryResultRow>(
    statements: readonly PipelinedStatement[],
    { durable = true }: TransactionOptions = {},
  ): Promise<readonly Row[][] | undefined> {
    const client = await this.#connections.take();
    const begin: PipelinedStatement = { text: this.#begin(durable), values: [] };
    const all = [begin, ...statements, { text: "commit", values: [] }];
    const outcomes = await inOneWrite(client, () =>
      Promise.allSettled(all.map(({ text, values }) => client.query<Row>(text, [...values]))),
    );
    const isUnreplicated = this.#connections.hasSkippedStandby(client);
    const failed = outcomes.findIndex(({ status }) => status === "rejected");
    const outcome = outcomes[failed];
    if (outcome?.status !== "rejected") {
      this.#connections.giveBack(client);
      if (isUnreplicated) throw this.#unreplicated();
      return outcomes.slice(1, -1).map((one) => (one.status === "fulfilled" ? one.value.rows : []));
    }
    const error: unknown = outcome.reason;
    const state = stateOf(error);
    const isCommit = failed === all.length - 1;
    // The server has ended the transaction by the last outcome, unless the connection is broken.
    const isBroken = isCommit || outcomes.at(-1)?.status === "rejected";
    this.#connections.giveBack(client, isBroken || isStale(error));
    if (all[failed]?.isCondition === true && state === UNMET) return undefined;
    // After an error that the server reports it executes nothing, the commit included.
    throw this.#fault(error, isCommit || state === undefined ? undefined : false);
  }

  #begin(durable: boolean): string {
    return `${BEGIN}; ${this.#settings}${durable ? "" : "; set local synchronous_commit to off"}`;
  }

  /** Waits for running transactions. Rejects callers that wait for a connection. */
  async close(): Promise<void> {
    await this.#connections.close();
  }

  /** Breaks all connections with their transactions, also those that are being made, and makes no more. */
  abandon(): void {
    this.#connections.abandon();
  }

  async #commit(client: PoolClient): Promise<void> {
    try {
      await client.query("commit");
    } catch (error) {
      throw this.#fault(error, undefined);
    }
    if (this.#connections.hasSkippedStandby(client)) throw this.#unreplicated();
  }

  async #rollBack(client: PoolClient, error: unknown): Promise<void> {
    try {
      await client.query("rollback");
      this.#connections.giveBack(client, CastellanError.is(error) && isStale(error.cause));
    } catch {
      this.#connections.giveBack(client, true);
    }
  }

  /** A later commit on the same server confirms this one, because it waits for the standbys to have both. */
  #unreplicated(): CastellanError {
    const what = "its wait for a synchronous standby was cancelled, so a failover could lose the commit";
    const advice = "Check the servers in `synchronous_standby_names`.";
    return unavailable(this.subject, "unreachable", what, { advice });
  }

  #fault(cause: unknown, applied: false | undefined): CastellanError {
    const state = stateOf(cause);
    const what = `${messageOf(cause)}${state === undefined ? "" : ` (${state})`}`;
    return unavailable(this.subject, faultOf(cause), what, { applied, cause });
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

/**
 * Whether the connection leads to a server that takes no writes: a former primary, or one whose settings have changed.
 * Another connection may lead to the primary, and has the present settings.
 */
function isStale(error: unknown): boolean {
  return faultOf(error) === "read_only";
}
