import { type DatabaseTerms, PostgresDatabase } from "./postgres-database.ts";
import { notOpen } from "./postgres-fault.ts";
import { historyExpression } from "./postgres-history.ts";
import type { PostgresPlace } from "./postgres-place.ts";
import { type PostgresTables, prepare } from "./postgres-schema.ts";

/** A database whose tables are there. */
export interface UsedDatabase {
  readonly database: PostgresDatabase;
  /** An expression of SQL that tells its history, see `historyExpression`. */
  readonly history: string;
}

/** A database that is connected to, and whose tables are made, when it is first used. */
export class PostgresOnUse {
  readonly #open: () => Promise<UsedDatabase>;
  readonly #label: string;
  #opening: Promise<UsedDatabase> | undefined;
  #closed: Promise<void> | undefined;

  /** @param kind of what is kept there, for messages */
  constructor(place: PostgresPlace, kind: string, terms: DatabaseTerms, tables: readonly PostgresTables[]) {
    this.#label = `The ${kind} ${place.label}`;
    this.#open = async () => {
      const database = await PostgresDatabase.load(place, kind, terms);
      try {
        for (const some of tables) await prepare(database, some);
        return { database, history: await historyExpression(database) };
      } catch (error) {
        await database.close();
        throw error;
      }
    };
  }

  /** After a failure the next call tries again. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async use(): Promise<PostgresDatabase> {
    return (await this.useWithHistory()).database;
  }

  /** As {@link PostgresOnUse.use}. */
  async useWithHistory(): Promise<UsedDatabase> {
    if (this.#closed !== undefined && this.#opening === undefined) throw notOpen(this.#label);
    this.#opening ??= this.#open();
    const attempt = this.#opening;
    try {
      return await attempt;
    } catch (error) {
      if (this.#opening === attempt) this.#opening = undefined;
      throw error;
    }
  }

  /** Waits for what is under way. */
  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #finish(): Promise<void> {
    const used = await this.#opening?.catch(() => undefined);
    await used?.database.close();
  }
}
