import { expect, it, onTestFinished } from "vitest";
import { SeverableLine } from "../cluster/severable-line.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { PostgresLoad } from "./postgres-load.ts";

/** A primary with a standby, behind an address that leads to the primary of the moment. */
class Replication {
  primary: PostgresServer;
  standby: PostgresServer;
  readonly #address: SeverableLine;
  readonly #replication: SeverableLine;

  private constructor(
    primary: PostgresServer,
    standby: PostgresServer,
    lines: readonly [SeverableLine, SeverableLine],
  ) {
    this.primary = primary;
    this.standby = standby;
    [this.#address, this.#replication] = lines;
  }

  static async start(): Promise<Replication> {
    const primary = await PostgresServer.start();
    onTestFinished(() => primary.remove());
    const lines = [await SeverableLine.start(primary.port), await SeverableLine.start(primary.port)] as const;
    for (const line of lines) onTestFinished(() => line.stop());
    const made = new Replication(primary, primary, lines);
    await made.addStandby();
    return made;
  }

  get place(): { readonly postgres: string; readonly schema: string } {
    return { postgres: this.primary.url({ port: this.#address.port }), schema: "castellan" };
  }

  async setSynchronous(names: string): Promise<void> {
    await this.primary.sql(`alter system set synchronous_standby_names = '${names}'`);
    await this.primary.sql("select pg_reload_conf()");
  }

  /** Stops the replication of later commits, or resumes it. */
  lag(isLagging: boolean): void {
    if (isLagging) this.#replication.cut();
    else this.#replication.restore();
  }

  /** The primary crashes, and the standby takes its place. Commits of now on are replicated to a new standby. */
  async failOver(): Promise<void> {
    await this.primary.end("crash");
    await this.standby.promote();
    this.#address.redirect(this.standby.port);
    this.primary = this.standby;
  }

  /** Restarts the primary and gives it a standby. */
  async addStandby(): Promise<void> {
    this.#replication.redirect(this.primary.port);
    this.standby = await this.primary.standby(this.#replication.port);
    const made = this.standby;
    onTestFinished(() => made.remove());
  }
}

it("three failovers with synchronous replication, under load: lose and double nothing, and nothing has to be written again", async () => {
  const servers = await Replication.start();
  await servers.setSynchronous("standby");
  const load = await PostgresLoad.start(servers.place);
  await load.runs(10);
  for (let time = 0; time < 3; time++) {
    if (time > 0) await servers.addStandby();
    await load.runs(10);
    await servers.failOver();
    // Nobody waits for a standby that does not exist.
    await servers.setSynchronous("");
    await load.runs(10);
    await servers.setSynchronous("standby").catch(() => {});
    await servers.addStandby();
    await load.runs(5);
  }
  expect(await load.verdict(servers.place)).toMatchObject({ lost: 0, doubled: 0 });
  expect(load.warnings.filter((warning) => warning.includes("wrote them again"))).toEqual([]);
});

it("three failovers to a standby that lags, under load: what was lost is told and written again, and nothing doubles", async () => {
  const servers = await Replication.start();
  const load = await PostgresLoad.start(servers.place);
  await load.runs(10);
  for (let time = 0; time < 3; time++) {
    if (time > 0) await servers.addStandby();
    await load.runs(5);
    servers.lag(true);
    await load.runs(10);
    await servers.failOver();
    await load.runs(10);
  }
  expect(await load.verdict(servers.place)).toMatchObject({ lost: 0, doubled: 0 });
  const told = load.warnings.filter((warning) =>
    /lacked the last \d+ batches. Castellan wrote them again/.test(warning),
  );
  expect(told).toHaveLength(3);
});

it("a synchronous standby that is away: no turn is confirmed without it, and none is lost with the primary", async () => {
  const servers = await Replication.start();
  await servers.setSynchronous("standby");
  const load = await PostgresLoad.start(servers.place);
  await load.runs(5);
  servers.lag(true);
  const before = load.answered.length;
  await load.isRefused("unreachable");
  const meanwhile = load.answered.length - before;
  await servers.failOver();
  await servers.setSynchronous("");
  await load.runs(5);
  expect(meanwhile).toBeLessThanOrEqual(4);
  expect(await load.verdict(servers.place)).toMatchObject({ lost: 0, doubled: 0 });
  expect(load.warnings.filter((warning) => /wrote them again|are lost/.test(warning))).toEqual([]);
});
