import pg from "pg";
import type { PostgresServer } from "./postgres-server.ts";

let made = 0;

/** A database of its own on a server that a test can restore to its backup. Everything committed since is lost. */
export class BackedUpDatabase {
  readonly name: string;
  readonly #server: PostgresServer;

  private constructor(server: PostgresServer, name: string) {
    this.#server = server;
    this.name = name;
  }

  static async create(server: PostgresServer): Promise<BackedUpDatabase> {
    made += 1;
    const database = new BackedUpDatabase(server, `backed_up_${made}`);
    await server.sql(`create database ${database.name}`);
    return database;
  }

  /** The URL of the database, and a schema in it. */
  get place(): { readonly postgres: string; readonly schema: string } {
    return { postgres: this.#server.url({ database: this.name }), schema: "castellan" };
  }

  /** Makes the backup that `putBack` restores. Users of the database lose their connections. */
  async backUp(): Promise<void> {
    await this.#server.sql(`drop database if exists ${this.name}_backup`);
    await this.#alone();
    await this.#server.sql(`create database ${this.name}_backup template ${this.name}`);
    await this.#server.sql(`alter database ${this.name} allow_connections true`);
  }

  async putBack(): Promise<void> {
    await this.#alone();
    await this.#server.sql(`drop database ${this.name}`);
    await this.#server.sql(`create database ${this.name} template ${this.name}_backup`);
  }

  async sql<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.place.postgres });
    client.on("error", () => {});
    await client.connect();
    try {
      await client.query("set search_path to castellan");
      return (await client.query<Row>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  async #alone(): Promise<void> {
    await this.#server.sql(`alter database ${this.name} allow_connections false`);
    await this.#server.sql("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1", [
      this.name,
    ]);
  }
}
