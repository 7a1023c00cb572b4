import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { failingDisk, slowDisk } from "../journal/slow-disk.ts";

/** The target of an attack. */
export interface Target {
  /** The file that the application has open, in a folder of its own. */
  readonly path: string;
  readonly pid: number;
  /** A copy of the file from the time when half of the writes before the attack were in it. */
  readonly backup: string;
  /** Runs a command on the application's disk. */
  run(...command: string[]): void;
}

type Undo = (() => Promise<void> | void) | void;

export interface Attack {
  readonly name: string;
  /** The mount options of the disk that it needs. */
  readonly disk?: string;
  readonly env?: (folder: string) => NodeJS.ProcessEnv;
  /** Whether writes during the attack must be accepted. */
  readonly harmless?: true;
  /** Whether nothing of the journal is left, so that its loss cannot be noticed. */
  readonly leavesNothing?: true;
  /** Attacks. The returned function reverts the attack before the next start. */
  attack(target: Target): Undo | Promise<Undo>;
}

const PARTS = ["", "-wal", "-shm"];

const remove = (...paths: string[]): void => {
  for (const path of paths) rmSync(path, { recursive: true, force: true });
};

/** Replaces a file by a copy of itself. */
function replaceByCopy(path: string): void {
  copyFileSync(path, `${path}.copy`);
  renameSync(`${path}.copy`, path);
}

function overwrite(path: string, at: number, bytes: Uint8Array): void {
  const file = openSync(path, "r+");
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}

function noise(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 2_654_435_761 + 97) >>> 7);
}

const middleOf = (path: string): number => Math.floor(statSync(path).size / 2 / 4096) * 4096;

/** Starts another program that works on the file until it is killed. */
async function other(path: string, work: string): Promise<ChildProcess> {
  const program = `
    const { DatabaseSync } = require("node:sqlite");
    const database = new DatabaseSync(${JSON.stringify(path)}, { timeout: 2000 });
    ${work};
    console.log("done");
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout ?? child, "data");
  return child;
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

const deletions: Attack[] = [
  ...[[""], ["-wal"], ["-shm"], ["-wal", "-shm"], PARTS, ["-owner"]].map((parts) => ({
    name: `deleted: ${parts.map((part) => `the file${part}`).join(", ")}`,
    ...(parts[0] === "-owner" && { harmless: true as const }),
    attack: ({ path }: Target) => remove(...parts.map((part) => path + part)),
  })),
  { name: "deleted: its folder", leavesNothing: true, attack: ({ path }) => remove(dirname(path)) },
  {
    name: "moved away, and back before the next start",
    attack: ({ path }) => {
      renameSync(dirname(path), `${dirname(path)}.away`);
      return () => renameSync(`${dirname(path)}.away`, dirname(path));
    },
  },
];

const replacements: Attack[] = [
  ...[[""], ["-wal"], ["-shm"], ["", "-wal"], ["-wal", "-shm"], PARTS].map((parts) => ({
    name: `replaced by a copy of itself: ${parts.map((part) => `the file${part}`).join(", ")}`,
    attack: ({ path }: Target) => {
      for (const part of parts) replaceByCopy(path + part);
    },
  })),
  {
    name: "replaced by a copy that names another owner",
    attack: ({ path }) => {
      using copying = new DatabaseSync(path, { readOnly: true });
      copying.exec(`VACUUM INTO '${path}.copy'`);
      using copy = new DatabaseSync(`${path}.copy`);
      copy.exec("UPDATE owner SET id = 'another', written = 100000");
      renameSync(`${path}.copy`, path);
    },
  },
  { name: "replaced by a backup", attack: ({ path, backup }) => renameSync(backup, path) },
  {
    name: "replaced by a backup, and the files beside it deleted",
    attack: ({ path, backup }) => {
      renameSync(backup, path);
      remove(`${path}-wal`, `${path}-shm`);
    },
  },
  { name: "overwritten by a backup", attack: ({ path, backup }) => copyFileSync(backup, path) },
  {
    name: "overwritten by a backup, and the files beside it deleted",
    attack: ({ path, backup }) => {
      copyFileSync(backup, path);
      remove(`${path}-wal`, `${path}-shm`);
    },
  },
  {
    name: "replaced by an empty file",
    attack: ({ path }) => {
      writeFileSync(`${path}.new`, "");
      renameSync(`${path}.new`, path);
    },
  },
  {
    name: "replaced by a letter",
    attack: ({ path }) => {
      writeFileSync(`${path}.new`, "This is a letter. ".repeat(1_000));
      renameSync(`${path}.new`, path);
    },
  },
  {
    name: "replaced by the file of another program",
    attack: ({ path }) => {
      using foreign = new DatabaseSync(`${path}.new`);
      foreign.exec("CREATE TABLE theirs (a)");
      renameSync(`${path}.new`, path);
    },
  },
  {
    name: "replaced by a link to a copy",
    attack: ({ path }) => {
      copyFileSync(path, `${path}.copy`);
      rmSync(path);
      symlinkSync(`${path}.copy`, path);
    },
  },
  {
    name: "replaced by a folder",
    attack: ({ path }) => {
      rmSync(path);
      mkdirSync(path);
    },
  },
];

const truncations: Attack[] = [
  ["", (size: number) => 0 * size, "to nothing"] as const,
  ["", (size: number) => size / 2, "to its half"] as const,
  ["-wal", (size: number) => 0 * size, "to nothing"] as const,
  ["-wal", (size: number) => size / 2, "to its half"] as const,
  ["-wal", (size: number) => size - 10, "by ten bytes"] as const,
  ["-shm", (size: number) => 0 * size, "to nothing"] as const,
  ["-shm", () => 100, "to its first hundred bytes"] as const,
].map(([part, length, how]) => ({
  name: `truncated: the file${part} ${how}`,
  attack: ({ path }: Target) => truncateSync(path + part, Math.floor(length(statSync(path + part).size))),
}));

const damages: Attack[] = [
  { name: "garbage: in the file", attack: ({ path }) => overwrite(path, middleOf(path), noise(40_960)) },
  { name: "garbage: in the header of the file", attack: ({ path }) => overwrite(path, 0, noise(100)) },
  { name: "garbage: behind the file", attack: ({ path }) => overwrite(path, statSync(path).size, noise(4_096)) },
  { name: "garbage: in the header of the log", attack: ({ path }) => overwrite(`${path}-wal`, 0, noise(32)) },
  { name: "garbage: in the first frame of the log", attack: ({ path }) => overwrite(`${path}-wal`, 40, noise(500)) },
  {
    name: "garbage: in the middle of the log",
    attack: ({ path }) => overwrite(`${path}-wal`, middleOf(`${path}-wal`), noise(500)),
  },
  {
    name: "garbage: all over the log",
    attack: ({ path }) => overwrite(`${path}-wal`, 0, noise(statSync(`${path}-wal`).size)),
  },
  { name: "garbage: all over the index", attack: ({ path }) => overwrite(`${path}-shm`, 0, noise(32_768)) },
  { name: "garbage: in the pages of the index", attack: ({ path }) => overwrite(`${path}-shm`, 136, noise(4_000)) },
  {
    name: "garbage: in the hashes of the index",
    attack: ({ path }) => overwrite(`${path}-shm`, 16_384, noise(16_384)),
  },
  { name: "zeros: all over the index", attack: ({ path }) => overwrite(`${path}-shm`, 0, new Uint8Array(32_768)) },
  {
    name: "zeros: in the hashes of the index",
    attack: ({ path }) => overwrite(`${path}-shm`, 16_384, new Uint8Array(16_384)),
  },
  {
    name: "the index says that all of the log is in the file",
    attack: ({ path }) => {
      const frames = readFileSync(`${path}-shm`).subarray(16, 20);
      overwrite(`${path}-shm`, 96, frames);
    },
  },
  {
    name: "an older index",
    attack: ({ path, backup }) => overwrite(`${path}-shm`, 0, readFileSync(`${backup}-shm`).subarray(0, 96)),
  },
  {
    name: "an older log and index, as they were with the backup",
    attack: ({ path, backup }) => {
      for (const part of ["-wal", "-shm"]) copyFileSync(backup + part, path + part);
    },
  },
];

const others: Attack[] = [
  {
    name: "another program has it locked for good",
    attack: async ({ path }) => {
      const child = await other(path, `database.exec("BEGIN IMMEDIATE")`);
      return () => killed(child);
    },
  },
  {
    name: "another program has it locked for a second",
    harmless: true,
    attack: async ({ path }) => {
      const child = await other(
        path,
        `database.exec("BEGIN IMMEDIATE"); setTimeout(() => database.exec("ROLLBACK"), 1000)`,
      );
      return () => killed(child);
    },
  },
  {
    name: "another program reads for as long",
    harmless: true,
    attack: async ({ path }) => {
      const child = await other(path, `database.exec("BEGIN"); database.prepare("SELECT count(*) FROM turns").get()`);
      return () => killed(child);
    },
  },
  {
    name: "another program reads and is killed",
    harmless: true,
    attack: async ({ path }) => {
      await killed(await other(path, `database.exec("BEGIN"); database.prepare("SELECT count(*) FROM turns").get()`));
    },
  },
  {
    name: "another program is killed while it writes",
    harmless: true,
    attack: async ({ path }) => {
      const work = `database.exec("BEGIN; INSERT INTO turns (id, session, prompt, position, durable, accepted_at, state, attempts, touched) SELECT 'copy ' || id, session, prompt, 1, 1, 1, 'queued', 0, 0 FROM turns")`;
      await killed(await other(path, work));
    },
  },
  {
    name: "another program writes meanwhile",
    harmless: true,
    attack: async ({ path }) => {
      const work = `database.exec("CREATE TABLE IF NOT EXISTS theirs (a)"); setInterval(() => database.exec("INSERT INTO theirs VALUES (randomblob(5000))"), 20)`;
      const child = await other(path, work);
      return () => killed(child);
    },
  },
  {
    name: "another program brings the log into the file, again and again",
    harmless: true,
    attack: async ({ path }) => {
      const work = `setInterval(() => database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get(), 30)`;
      const child = await other(path, work);
      return () => killed(child);
    },
  },
  {
    name: "another program rewrites it",
    harmless: true,
    attack: async ({ path }) => killed(await other(path, `database.exec("VACUUM")`)),
  },
  {
    name: "it is copied meanwhile",
    harmless: true,
    attack: ({ path }) => {
      for (const part of PARTS) copyFileSync(path + part, `${path}.copied${part}`);
    },
  },
];

const places: Attack[] = [
  {
    name: "full: no file may grow",
    attack: async ({ pid }) => {
      execFileSync("prlimit", ["--pid", String(pid), "--fsize=200000:unlimited"]);
    },
  },
  {
    name: "full: the disk, until the next start",
    disk: "size=24m",
    attack: ({ path, run }) => {
      run("sh", "-c", `cat /dev/zero > ${dirname(path)}/ballast || true`);
      return () => run("rm", "-f", `${dirname(path)}/ballast`);
    },
  },
  ...Object.entries({ "read-only": 30, "full to the last byte": 28, "broken: it fails": 5 }).map(([what, error]) => ({
    name: `the disk is ${what}`,
    env: (folder: string) => failingDisk(join(folder, "failing")),
    attack: ({ path }: Target) => {
      const flag = join(dirname(path), "failing");
      writeFileSync(flag, String(error));
      return () => rmSync(flag);
    },
  })),
  {
    name: "read-only: the files",
    attack: ({ path }) => {
      for (const part of PARTS) chmodSync(path + part, 0o400);
      return () => {
        for (const part of PARTS) if (statSync(path + part, { throwIfNoEntry: false })) chmodSync(path + part, 0o600);
      };
    },
  },
  {
    name: "slow: 200 ms for what the disk has to write",
    env: () => slowDisk(200),
    harmless: true,
    attack: () => undefined,
  },
];

export const ATTACKS: readonly Attack[] = [
  ...deletions,
  ...replacements,
  ...truncations,
  ...damages,
  ...others,
  ...places,
];
