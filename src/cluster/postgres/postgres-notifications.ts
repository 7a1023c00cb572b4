import type { Socket } from "node:net";
import type { Client } from "pg";
import type { Clock, Timer } from "../../clock.ts";
import { backoffDelay } from "../../supervision/backoff.ts";

const CHANNEL = "castellan_cluster";

/**
 * The end of a statement that tells those who listen in a schema, if a part of the statement has any rows.
 *
 * @param schema the parameter that it is in
 */
export function notifyIfAny(schema: string, part: string): string {
  return `select pg_notify('${CHANNEL}', ${schema}) from ${part} limit 1`;
}

const CONNECT_MS = 5_000;

/** A connection that breaks is made again after half a second, then after twice as long each time, up to thirty seconds. */
const RETRY = { base: 500, factor: 2, max: 30_000, jitter: 0.2 };

interface NewsSource {
  /** An address at which the server itself answers, or a pooler that gives each client a session of its own. */
  readonly url: string;
  readonly schema: string;
}

/**
 * News of a cluster, over a connection of its own that is there while somebody listens. None of it is certain to come: behind
 * a pooler that gives each transaction another session none does.
 */
export class PostgresNotifications {
  readonly #source: NewsSource;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #listeners = new Set<{ readonly changed: () => void }>();
  #client: Client | undefined;
  #timer: Timer | undefined;
  #failures = 0;

  constructor(source: NewsSource, clock: Clock, random: () => number = Math.random) {
    this.#source = source;
    this.#clock = clock;
    this.#random = random;
  }

  /** Calls back also when news may have been missed. @returns stops listening */
  listen(changed: () => void): () => void {
    const listener = { changed };
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) void this.#connect();
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#stop();
    };
  }

  close(): void {
    this.#listeners.clear();
    this.#stop();
  }

  async #connect(): Promise<void> {
    // Whoever uses the engine is told that it is not installed.
    const pg = await import("pg").catch(() => undefined);
    if (pg === undefined || this.#listeners.size === 0 || this.#client !== undefined) return;
    const client = new pg.Client({
      connectionString: this.#source.url,
      application_name: "castellan",
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: CONNECT_MS,
      keepAlive: true,
    });
    this.#client = client;
    client.on("error", () => {});
    client.on("end", () => this.#lost(client));
    const { schema } = this.#source;
    client.on("notification", ({ channel, payload }) => {
      if (this.#client === client && channel === CHANNEL && payload === schema) this.#tell();
    });
    try {
      await client.connect();
      // It keeps no application alive.
      (client.connection.stream as Socket).unref();
      await client.query(`listen ${CHANNEL}`);
      if (this.#client !== client) return;
      this.#failures = 0;
      this.#tell();
    } catch {
      this.#lost(client);
    }
  }

  #lost(client: Client): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    client.connection.stream.destroy();
    this.#failures += 1;
    const delay = backoffDelay(this.#failures + 1, RETRY, this.#random);
    this.#timer = this.#clock.schedule(delay, () => void this.#connect(), { background: true });
  }

  #stop(): void {
    this.#timer?.cancel();
    const client = this.#client;
    this.#client = undefined;
    client?.connection.stream.destroy();
  }

  #tell(): void {
    for (const { changed } of this.#listeners) changed();
  }
}
