import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { chmod, chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { PostgresServer } from "../journal/postgres-server.ts";
import { PostgresLoad } from "./postgres-load.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

/** In bytes. */
const LARGER_THAN_DISKS = 128 * 1024 ** 2;

const FINE = { lost: 0, doubled: 0 };

it("a database that is restarted, five times under load: loses and doubles nothing", async () => {
  const where = server.fresh();
  const load = await PostgresLoad.start(where);
  await load.runs(10);
  for (const how of ["stop", "crash", "stop", "crash", "stop"] as const) {
    await server.end(how);
    await server.start();
    await load.runs(10);
  }
  expect(await load.verdict(where)).toMatchObject(FINE);
});

it("a database that takes no writes: refuses turns with `read_only`, and takes them once it is writable", async () => {
  const where = server.fresh();
  const load = await PostgresLoad.start(where);
  await load.runs(10);
  const [role] = await server.sql<{ readonly name: string }>("select current_user as name");
  for (const scope of ["system", `role ${role?.name}`]) {
    const set = scope === "system" ? "alter system set" : `alter ${scope} set`;
    await server.sql(`${set} default_transaction_read_only = on`);
    await server.sql("select pg_reload_conf()");
    // Settings of a role apply to new connections only.
    await server.cutConnections();
    await load.isRefused("read_only");
    const reset = scope === "system" ? "alter system reset" : `alter ${scope} reset`;
    await server.writable(`${reset} default_transaction_read_only`, "select pg_reload_conf()");
    await load.runs(10);
  }
  expect(await load.verdict(where)).toMatchObject(FINE);
  expect(load.supervisor.listSessions().filter(({ state }) => state === "quarantined")).toEqual([]);
});

const canMount =
  process.getuid?.() === 0 && spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0;

/** Mounts a small file system, on which PostgreSQL may write, until the test ends. */
async function smallDisk(size: string): Promise<{ readonly folder: string; fill(): void; free(): void }> {
  const folder = await mkdtemp(join(tmpdir(), "castellan-small-"));
  const run = (...[command = "", ...args]: string[]): void => {
    const { status, stderr } = spawnSync(command, args);
    if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
  };
  run("mount", "-t", "tmpfs", "-o", `size=${size}`, "tmpfs", folder);
  onTestFinished(async () => {
    run("umount", folder);
    await rm(folder, { recursive: true });
  });
  await chmod(folder, 0o700);
  await chown(folder, 65534, 65534);
  return {
    folder,
    fill: () => {
      try {
        writeFileSync(join(folder, "ballast"), Buffer.alloc(LARGER_THAN_DISKS));
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
      }
    },
    free: () => run("rm", join(folder, "ballast")),
  };
}

it.skipIf(!canMount)(
  "a database on a full disk: refuses turns with `no_space`, and takes them once there is space",
  async () => {
    const disk = await smallDisk("64m");
    const own = await PostgresServer.start();
    onTestFinished(() => own.remove());
    await own.sql(`create tablespace small location '${disk.folder}'`);
    await own.sql("create database small tablespace small");
    const where = { postgres: own.url({ database: "small" }), schema: "castellan" };
    const load = await PostgresLoad.start(where);
    await load.runs(10);
    for (let time = 0; time < 2; time++) {
      disk.fill();
      await load.isRefused("no_space");
      disk.free();
      await load.runs(10);
    }
    expect(await load.verdict(where)).toMatchObject(FINE);
  },
);

it.skipIf(!canMount)(
  "a database whose log fills the disk, and which crashes of it: loses and doubles nothing",
  async () => {
    const disk = await smallDisk("96m");
    const own = await PostgresServer.start();
    onTestFinished(() => own.remove());
    await own.moveLog(disk.folder);
    const where = { postgres: own.url(), schema: "castellan" };
    const load = await PostgresLoad.start(where);
    await load.runs(10);
    disk.fill();
    await own
      .sql("create table public.ballast as select repeat('x', 1000) from generate_series(1, 100000)")
      .catch(() => {});
    await load.isRefused("unreachable");
    disk.free();
    await own.end("crash");
    await own.start();
    await load.runs(10);
    expect(await load.verdict(where)).toMatchObject(FINE);
  },
);

it("a server without a free connection: refuses with `unreachable`, and answers once there is one", async () => {
  const own = await PostgresServer.start();
  onTestFinished(() => own.remove());
  await own.sql("create role plain login password 'plain'");
  await own.sql("grant create on database postgres to plain");
  const postgres = own.url().replace(/\/\/[^@]*@/, "//plain:plain@");
  const where = { postgres, schema: "castellan" };
  const load = await PostgresLoad.start(where);
  await load.runs(10);
  await own.sql("alter role plain connection limit 0");
  await own.cutConnections();
  await load.isRefused("unreachable");
  await own.sql("alter role plain connection limit 4");
  await load.runs(10);
  expect(await load.verdict(where)).toMatchObject(FINE);
});
