import type { Clock } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import { toText } from "../../journal/model/stored-text.ts";
import { PostgresDatabase } from "../../journal/postgres/postgres-database.ts";
import { notOpen, subjectOf, unavailable } from "../../journal/postgres/postgres-fault.ts";
import type { PostgresLocation } from "../../journal/postgres/postgres-location.ts";
import type { ClockSkew, NodeState } from "../protocol/engine.ts";
import { detectNewHistory, ERA } from "./history-statements.ts";
import { storedReport } from "./node-rows.ts";

/** The answer to a renewal. */
export interface Renewal {
  readonly era: number;
  readonly skew: ClockSkew;
}

/** A connection for lease renewals alone, so that nothing delays them. */
export class RenewalConnection {
  readonly #location: PostgresLocation;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  #database: Promise<PostgresDatabase> | undefined;
  #closed: Promise<void> | undefined;

  /** @param timeoutMs timeout of a renewal, after which the next one takes a new connection */
  constructor(location: PostgresLocation, timeoutMs: number, clock: Clock) {
    this.#location = location;
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  /**
   * Renews the lease of a node, in one round trip. The tables must exist.
   *
   * @param history a SQL expression for the history of the database, see `historyExpression`
   * @returns undefined if the node has ended
   * @throws CastellanError `DATABASE_UNAVAILABLE` after `timeoutMs` at the latest
   */
  async renew(boot: string, state: NodeState, history: string): Promise<Renewal | undefined> {
    const subject = subjectOf("cluster", this.#location);
    if (this.#closed !== undefined) throw notOpen(subject);
    const terms = { timeoutMs: this.#timeoutMs, connections: 1 };
    this.#database ??= PostgresDatabase.load(this.#location, "cluster", terms);
    const database = this.#database;
    const values = [toText(boot), state.load, state.draining, storedReport(state)];
    const renewed = database.then(async (open) => {
      const sent = { wall: this.#clock.now(), monotonic: this.#clock.monotonic() };
      const rows = await open.pipeline<RenewedRow>([
        { text: detectNewHistory(history), values: [] },
        { text: RENEW, values },
      ]);
      const halfMs = (this.#clock.monotonic() - sent.monotonic) / 2;
      const row = rows?.at(-1)?.[0];
      return row && { era: row.era, skew: { aheadMs: sent.wall + halfMs - row.now, withinMs: halfMs } };
    });
    try {
      return await withDeadline(this.#clock, this.#timeoutMs, renewed, () => {
        throw unavailable(subject, "unreachable", `no answer for ${this.#timeoutMs} ms`);
      });
    } catch (error) {
      // A broken connection may show only as silence.
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
  /** In milliseconds since the epoch. */
  readonly now: number;
}

const RENEW = `
  update nodes set renewed_at = clock_timestamp(), load = $2, draining = $3, report = $4 where boot = $1 and ended_at is null
  returning ${ERA} as era, extract(epoch from clock_timestamp())::double precision * 1000 as now`;
