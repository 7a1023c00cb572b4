import type { Clock } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import { toText } from "../../journal/model/stored-text.ts";
import { PostgresDatabase } from "../../journal/postgres/postgres-database.ts";
import { notOpen, subjectOf, unavailable } from "../../journal/postgres/postgres-fault.ts";
import type { PostgresLocation } from "../../journal/postgres/postgres-location.ts";
import type { NodeState } from "../protocol/engine.ts";
import { ERA, noticeHistory } from "./history-statements.ts";

/** The connection over which nodes say that they live: nothing else may delay it, nor what became of an earlier one. */
export class RenewalConnection {
  readonly #location: PostgresLocation;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  #database: Promise<PostgresDatabase> | undefined;
  #closed: Promise<void> | undefined;

  /** @param timeoutMs how long a renewal may take; then the connection is given up, and the next renewal has another one */
  constructor(location: PostgresLocation, timeoutMs: number, clock: Clock) {
    this.#location = location;
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  /**
   * The tables are there.
   *
   * @param history an expression that tells the history of the database, see `historyExpression`
   * @returns the era; `undefined` if the node has ended
   * @throws CastellanError `DATABASE_UNAVAILABLE` after `timeoutMs` at the latest
   */
  async renew(boot: string, { load, draining }: NodeState, history: string): Promise<number | undefined> {
    const subject = subjectOf("cluster", this.#location);
    if (this.#closed !== undefined) throw notOpen(subject);
    const terms = { timeoutMs: this.#timeoutMs, connections: 1 };
    this.#database ??= PostgresDatabase.load(this.#location, "cluster", terms);
    const database = this.#database;
    const renewed = database.then((open) =>
      open.transaction(async (query) => {
        const values = [toText(boot), load, draining];
        const [, [row]] = await Promise.all([query(noticeHistory(history)), query<RenewedRow>(RENEW, values)]);
        return row?.era;
      }),
    );
    try {
      return await withDeadline(this.#clock, this.#timeoutMs, renewed, () => {
        throw unavailable(subject, "unreachable", `it has not answered for ${this.#timeoutMs} ms`);
      });
    } catch (error) {
      // What is wrong with the connection may only show in that it does not answer.
      this.#giveUp(database);
      renewed.catch(() => {});
      throw error;
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #finish(): Promise<void> {
    const database = await this.#database?.catch(() => undefined);
    await database?.close();
  }

  #giveUp(database: Promise<PostgresDatabase>): void {
    if (this.#database === database) this.#database = undefined;
    database
      .then((open) => {
        open.abandon();
        return open.close();
      })
      .catch(() => {});
  }
}

interface RenewedRow {
  readonly era: number;
}

const RENEW = `
  update nodes set renewed_at = clock_timestamp(), load = $2, draining = $3 where boot = $1 and ended_at is null
  returning ${ERA} as era`;
