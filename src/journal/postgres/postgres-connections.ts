import type { Client, ClientConfig, Pool, PoolClient } from "pg";
import { formatDuration } from "../../duration.ts";
import type { CastellanError } from "../../errors.ts";
import { backoffDelay } from "../../supervision/backoff.ts";
import { faultOf, messageOf, notOpen, type PostgresSubject, unavailable } from "./postgres-fault.ts";
import type { PostgresLocation } from "./postgres-location.ts";

/** Terms of connections. Durations are in milliseconds. */
export interface ConnectionTerms {
  readonly connections: number;
  /** How long to wait for an answer to a query. */
  readonly queryMs: number;
}

const CONNECT_MS = 5_000;

/** How long to wait for a connection that others use, in milliseconds. Each use is short, but many may wait. */
const QUEUE_MS = 60_000;

/** Back-off between attempts to connect, in milliseconds. The jitter keeps many applications from connecting at once. */
const RETRY = { base: 50, factor: 2, max: 2_000, jitter: 0.5 };

/** The function of PostgreSQL that gives up waiting for a standby. Its message is translated. */
const STANDBY_WAIT = "SyncRepWaitForLSN";

interface Waiting {
  readonly resolve: (client: PoolClient) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Connections to a database, a limited number of them, lent in the order of the calls.
 *
 * While the server cannot be reached, one connection at a time is attempted, after a back-off. A failed attempt fails
 * all calls that wait, unless another connection works.
 */
export class PostgresConnections {
  readonly #subject: PostgresSubject;
  readonly #pool: Pool;
  readonly #most: number;
  /** All connections, also those that are not made yet. */
  readonly #clients: ReadonlySet<Client>;
  /** Connections whose last commit may be missing on the standbys. */
  readonly #unreplicated = new WeakSet<PoolClient>();
  readonly #waiting: Waiting[] = [];
  /** Number of connections that are in use or being made. */
  #lent = 0;
  /** Number of failed attempts in a row. */
  #failures = 0;
  /** Until when nothing connects, on the monotonic clock. */
  #pausedUntil = 0;
  #pause: NodeJS.Timeout | undefined;
  /** Whether an attempt is under way that tells whether the server can be reached again. */
  #probing = false;
  #closed = false;

  constructor(
    pg: Pick<typeof import("pg"), "Client" | "Pool">,
    { url }: PostgresLocation,
    subject: PostgresSubject,
    { connections, queryMs }: ConnectionTerms,
  ) {
    const clients = new Set<Client>();
    this.#clients = clients;
    this.#subject = subject;
    this.#most = connections;
    this.#pool = new pg.Pool({
      Client: class extends pg.Client {
        constructor(config?: string | ClientConfig) {
          super(config);
          clients.add(this);
          this.once("end", () => clients.delete(this));
        }
      },
      connectionTimeoutMillis: CONNECT_MS,
      connectionString: url,
      application_name: "castellan",
      max: connections,
      query_timeout: queryMs,
      allowExitOnIdle: true,
      keepAlive: true,
      pipeline: true,
    });
    // The user of a connection gets its error; an unhandled `error` event would end the process.
    this.#pool.on("error", () => {});
    this.#pool.on("connect", (client) => {
      client.on("error", () => {});
      client.on("notice", ({ routine }) => {
        if (routine === STANDBY_WAIT) this.#unreplicated.add(client);
      });
    });
  }

  /** Lends a connection. Give it back. @throws CastellanError `JOURNAL_UNAVAILABLE` or `DATABASE_UNAVAILABLE` */
  async take(): Promise<PoolClient> {
    if (this.#closed) throw notOpen(this.#subject);
    const { promise, resolve, reject } = Promise.withResolvers<PoolClient>();
    const timer = setTimeout(() => this.#expire(waiting), QUEUE_MS);
    timer.unref();
    const waiting: Waiting = { resolve, reject, timer };
    this.#waiting.push(waiting);
    this.#serve();
    return await promise;
  }

  /** @param isBroken whether it must not be used again */
  giveBack(client: PoolClient, isBroken = false): void {
    client.release(isBroken);
    this.#lent -= 1;
    this.#serve();
  }

  /** Whether the server has confirmed the last commit although no standby has it, because somebody cancelled its wait. */
  hasSkippedStandby(client: PoolClient): boolean {
    return this.#unreplicated.delete(client);
  }

  /** Waits for connections in use. Rejects calls that wait for one. */
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
    clearTimeout(this.#pause);
    this.#rejectAll(notOpen(this.#subject));
  }

  #serve(): void {
    while (this.#waiting.length > 0 && this.#lent < this.#most) {
      const isProbe = this.#pool.idleCount === 0 && this.#failures > 0;
      if (isProbe && !this.#mayProbe()) return;
      const waiting = this.#waiting.shift();
      if (waiting === undefined) return;
      this.#lent += 1;
      if (isProbe) this.#probing = true;
      void this.#lend(waiting, isProbe);
    }
  }

  /** Whether to attempt a connection now. If only the back-off forbids it, its end serves the calls that wait. */
  #mayProbe(): boolean {
    if (this.#probing) return false;
    const leftMs = this.#pausedUntil - performance.now();
    if (leftMs <= 0) return true;
    this.#pause ??= setTimeout(() => {
      this.#pause = undefined;
      this.#serve();
    }, Math.ceil(leftMs)).unref();
    return false;
  }

  async #lend(waiting: Waiting, isProbe: boolean): Promise<void> {
    try {
      const client = await this.#pool.connect();
      this.#failures = 0;
      clearTimeout(waiting.timer);
      waiting.resolve(client);
    } catch (cause) {
      this.#lent -= 1;
      this.#failures += 1;
      this.#pausedUntil = performance.now() + backoffDelay(this.#failures + 1, RETRY, Math.random);
      this.#waiting.unshift(waiting);
      // With another connection, the calls wait for that one.
      if (this.#pool.totalCount === 0 || this.#closed) this.#rejectAll(this.#fault(cause));
    } finally {
      if (isProbe) this.#probing = false;
    }
    this.#serve();
  }

  #expire(waiting: Waiting): void {
    const index = this.#waiting.indexOf(waiting);
    if (index === -1) return;
    this.#waiting.splice(index, 1);
    const what = `no connection became free for ${formatDuration(QUEUE_MS)}`;
    waiting.reject(unavailable(this.#subject, "unreachable", what, { applied: false }));
  }

  #rejectAll(error: CastellanError): void {
    for (const { reject, timer } of this.#waiting.splice(0)) {
      clearTimeout(timer);
      reject(error);
    }
  }

  #fault(cause: unknown): CastellanError {
    if (this.#closed) return notOpen(this.#subject);
    return unavailable(this.#subject, faultOf(cause), messageOf(cause), { applied: false, cause });
  }
}
