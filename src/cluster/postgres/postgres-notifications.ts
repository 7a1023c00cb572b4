import type { Socket } from "node:net";
import type { Client } from "pg";
import type { Clock, Timer } from "../../clock.ts";
import { backoffDelay } from "../../supervision/backoff.ts";
import { isPooledByTransaction } from "./transaction-pooling.ts";

const CHANNEL = "castellan_cluster";

/**
 * Returns the end of a statement that notifies the listeners of a schema if a part of the statement has any rows.
 *
 * @param schema the parameter that holds the schema
 */
export function notifyIfAny(schema: string, part: string): string {
  return `select pg_notify('${CHANNEL}', ${schema}) from ${part} limit 1`;
}

const CONNECT_MS = 5_000;

/** Back-off for reconnecting, in milliseconds. */
const RETRY = { base: 500, factor: 2, max: 30_000, jitter: 0.2 };

interface NewsSource {
  /** URL of the server itself, or of a session pooler. */
  readonly url: string;
  readonly schema: string;
  /** Called if the URL leads through a transaction pooler, which delivers no notifications. */
  pooled(): void;
}

/**
 * Listens for changes in a cluster, over a connection that is open while there are listeners. Notifications are best
 * effort. A transaction pooler delivers none, so that nothing listens through one.
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

  /**
   * Also calls `changed` after a reconnect, since notifications may have been missed.
   *
   * @returns a function that stops listening
   */
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
    // Any other use of the engine reports the missing package.
    const pg = await import("pg").catch(() => undefined);
    if (pg === undefined || this.#listeners.size === 0 || this.#client !== undefined) return;
    const { url, schema } = this.#source;
    const open = (): Client => {
      const made = new pg.Client({
        connectionString: url,
        application_name: "castellan",
        connectionTimeoutMillis: CONNECT_MS,
        query_timeout: CONNECT_MS,
        keepAlive: true,
      });
      return made.on("error", () => {});
    };
    const client = open();
    this.#client = client;
    client.on("end", () => this.#lost(client));
    client.on("notification", ({ channel, payload }) => {
      if (this.#client === client && channel === CHANNEL && payload === schema) this.#tell();
    });
    try {
      await client.connect();
      // Does not keep the process alive.
      (client.connection.stream as Socket).unref();
      const another = async (): Promise<Client> => {
        const other = open();
        await other.connect();
        return other;
      };
      if (await isPooledByTransaction(client, another)) return this.#giveUp(client);
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

  #giveUp(client: Client): void {
    if (this.#client !== client) return;
    this.#stop();
    this.#source.pooled();
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
