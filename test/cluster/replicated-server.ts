import { onTestFinished } from "vitest";
import { PostgresServer } from "../journal/postgres-server.ts";
import { SeverableLine } from "./severable-line.ts";

/** A primary and its standby, behind an address that leads to the one that is in charge. All of it is gone after the test. */
export class ReplicatedServer {
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  /** Where applications find the database. */
  readonly port: number;
  readonly #address: SeverableLine;
  readonly #replication: SeverableLine;

  private constructor(
    servers: readonly [primary: PostgresServer, standby: PostgresServer],
    lines: readonly [address: SeverableLine, replication: SeverableLine],
  ) {
    [this.primary, this.standby] = servers;
    [this.#address, this.#replication] = lines;
    this.port = this.#address.port;
  }

  static async start(): Promise<ReplicatedServer> {
    const primary = await PostgresServer.start();
    onTestFinished(() => primary.remove());
    const [address, replication] = [await SeverableLine.start(primary.port), await SeverableLine.start(primary.port)];
    onTestFinished(() => address.stop());
    onTestFinished(() => replication.stop());
    const standby = await primary.standby(replication.port);
    onTestFinished(() => standby.remove());
    return new ReplicatedServer([primary, standby], [address, replication]);
  }

  /** What is committed from now on reaches the standby no more. */
  lag(): void {
    this.#replication.cut();
  }

  /** Resolves when the standby has all that was committed so far. */
  async replicated(): Promise<void> {
    const [row] = await this.primary.sql<{ readonly lsn: string }>("select pg_current_wal_lsn() as lsn");
    const text = "select pg_last_wal_replay_lsn() >= $1::pg_lsn as done";
    for (;;) {
      const [there] = await this.standby.sql<{ readonly done: boolean }>(text, [row?.lsn]);
      if (there?.done === true) return;
    }
  }

  /** The primary is lost, and applications find nothing until the standby takes its place. */
  async losePrimary(): Promise<void> {
    await this.primary.end("crash");
  }

  async promote(): Promise<void> {
    await this.standby.promote();
    this.#address.lead(this.standby.port);
  }
}
