import { onTestFinished } from "vitest";
import { PostgresServer } from "../journal/postgres-server.ts";
import { SeverableLine } from "./severable-line.ts";

/** A primary and its standby, behind an address that leads to the active one. Both are removed after the test. */
export class ReplicatedServer {
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  /** The port of the address for applications. */
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

  /** Stops the replication of later commits. */
  lag(): void {
    this.#replication.cut();
  }

  /** Resolves once the standby has everything that was committed before. */
  async replicated(): Promise<void> {
    const [row] = await this.primary.sql<{ readonly lsn: string }>("select pg_current_wal_lsn() as lsn");
    const text = "select pg_last_wal_replay_lsn() >= $1::pg_lsn as done";
    for (;;) {
      const [there] = await this.standby.sql<{ readonly done: boolean }>(text, [row?.lsn]);
      if (there?.done === true) return;
    }
  }

  /** Crashes the primary. The address leads nowhere until the standby is promoted. */
  async losePrimary(): Promise<void> {
    await this.primary.end("crash");
  }

  async promote(): Promise<void> {
    await this.standby.promote();
    this.#address.redirect(this.standby.port);
  }
}
