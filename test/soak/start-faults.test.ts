import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { Supervisor, session as sessionOf } from "../../src/index.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

/** Mounting a small disk needs root. */
const mayMount = process.platform === "linux" && process.getuid?.() === 0;

let api: MessagesApi;
const others: ChildProcess[] = [];

beforeEach(async () => {
  api = await messagesApi();
});

afterEach(async () => {
  for (const other of others.splice(0)) other.kill("SIGKILL");
  await api.stop();
});

/** Begins to start a session, and returns how its first start fails. */
async function firstFailure(name: string, env: Readonly<Record<string, string | undefined>>) {
  const starting = Supervisor.start([{ name }], {
    journal: "memory",
    defaults: { env: { ...api.env, ...env }, cwd: api.cwd },
    logger: { info: () => {}, warn: () => {} },
  });
  const session = sessionOf(name);
  await expect.poll(() => session.status().lastExit, { timeout: 30_000 }).toBeDefined();
  return { starting, status: session.status() };
}

describe("Supervisor.start on a passing failure of a session's start", () => {
  it("tries again while another application is frozen as it locks a conversation", async () => {
    const config = join(api.cwd, "config");
    await mkdir(config);
    const script = fileURLToPath(new URL("../claude/guard-holder.ts", import.meta.url));
    const holder = spawn(process.execPath, [script, config], { stdio: ["ignore", "pipe", "inherit"] });
    others.push(holder);
    await once(holder.stdout, "data");
    const { starting, status } = await firstFailure(unique(), { CLAUDE_CONFIG_DIR: config });
    expect(status).toMatchObject({ lastExit: { class: "overload" } });
    expect(status.state).not.toBe("quarantined");
    expect(status.lastExit?.message).toContain(join(config, "castellan-locks", "guard"));
    if (process.platform === "linux") expect(status.lastExit?.message).toContain(`process ${holder.pid} `);
    holder.kill("SIGCONT");
    await using supervisor = await starting;
    expect(supervisor.notStarted).toEqual([]);
    await supervisor.session(status.name).query("hello");
  });

  it.runIf(process.platform !== "win32")("tries again while the application has no file descriptors left", async () => {
    const script = fileURLToPath(new URL("./start-without-files.ts", import.meta.url));
    const limited = 'ulimit -n 80; exec "$0" "$1"';
    const { stdout } = await promisify(execFile)("sh", ["-c", limited, process.execPath, script]);
    expect(JSON.parse(stdout)).toMatchObject({
      state: "restarting",
      class: "overload",
      now: "idle",
      spares: true,
      owner: expect.stringMatching(/^\d+$/),
    });
  });

  it.runIf(process.platform !== "win32")(
    "rejects without file descriptors for the journal, and starts when there are",
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "castellan-files-"));
      onTestFinished(() => rm(folder, { recursive: true, force: true }));
      const script = fileURLToPath(new URL("./start-without-files.ts", import.meta.url));
      const limited = 'ulimit -n 80; exec "$0" "$@"';
      const command = ["-c", limited, process.execPath, script, join(folder, "castellan.db")];
      const { stdout } = await promisify(execFile)("sh", command);
      expect(JSON.parse(stdout)).toEqual({ code: "JOURNAL_UNAVAILABLE", text: expect.stringContaining("hello") });
    },
  );

  it.runIf(mayMount)("tries again while Claude Code cannot make its temporary folder on a full disk", async () => {
    const disk = await mkdtemp(join(tmpdir(), "castellan-disk-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m,nr_inodes=2", "tmpfs", disk]);
    try {
      await writeFile(join(disk, "filler"), "");
      const { starting, status } = await firstFailure(unique(), { CLAUDE_CODE_TMPDIR: join(disk, "tmp") });
      expect(status).toMatchObject({ lastExit: { class: "overload", message: expect.stringContaining("ENOSPC") } });
      expect(status.state).not.toBe("quarantined");
      execFileSync("mount", ["-o", "remount,nr_inodes=1000", disk]);
      await using supervisor = await starting;
      expect(supervisor.notStarted).toEqual([]);
    } finally {
      execFileSync("umount", ["-l", disk]);
      await rmdir(disk);
    }
  });

  it.runIf(mayMount)("tries again while there is no room for the session's directory", async () => {
    const disk = await mkdtemp(join(tmpdir(), "castellan-disk-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m,nr_inodes=2", "tmpfs", disk]);
    try {
      await writeFile(join(disk, "filler"), "");
      const name = unique();
      const starting = Supervisor.start([{ name, isolate: { root: join(disk, "sessions") } }], {
        journal: "memory",
        defaults: { env: api.env },
        logger: { info: () => {}, warn: () => {} },
      });
      const session = sessionOf(name);
      await expect.poll(() => session.status().lastExit?.class, { timeout: 30_000 }).toBe("overload");
      expect(session.status().lastExit?.message).toContain("ENOSPC");
      execFileSync("mount", ["-o", "remount,nr_inodes=1000", disk]);
      await using supervisor = await starting;
      expect(supervisor.notStarted).toEqual([]);
      expect(await readdir(join(disk, "sessions"))).toHaveLength(2);
    } finally {
      execFileSync("umount", ["-l", disk]);
      await rm(disk, { recursive: true });
    }
  });
});

it("Supervisor.start: quarantines a session whose environment is too long for the system, and names the reason", async () => {
  const name = unique();
  await using supervisor = await Supervisor.start([{ name, env: { ...api.env, LONG: "x".repeat(2 ** 21) } }], {
    journal: "memory",
    defaults: { cwd: api.cwd },
    logger: { info: () => {}, warn: () => {} },
  });
  const { state, lastExit } = supervisor.session(name).status();
  expect({ state, class: lastExit?.class }).toEqual({ state: "quarantined", class: "bad_config" });
  expect(lastExit?.message).toContain("E2BIG");
});
