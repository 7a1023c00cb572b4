import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { examine } from "../../src/cli/checks/doctor.ts";
import type { Finding } from "../../src/cli/checks/finding.ts";
import { Supervisor } from "../../src/index.ts";
import { claudeStubs } from "../../src/testing/index.ts";
import { ReplicatedServer } from "../cluster/replicated-server.ts";

async function folder(files: Record<string, string> = {}): Promise<string> {
  const cwd = await mkdtemp(join(tmpdir(), "castellan-doctor-"));
  onTestFinished(() => rm(cwd, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(cwd, name), text);
  return cwd;
}

function stubbed(options: Parameters<typeof claudeStubs>[0] = {}) {
  const claude = claudeStubs(options);
  claude.install();
  onTestFinished(() => claude[Symbol.dispose]());
  vi.stubEnv("CASTELLAN_JOURNAL", "");
  onTestFinished(() => void vi.unstubAllEnvs());
  return claude;
}

const of = (findings: readonly Finding[], subject: string) => findings.find((finding) => finding.subject === subject);

test("examine(): reports success, and starts and stops one process", async () => {
  const { fake } = stubbed();
  const cwd = await folder({ "castellan.config.json": '{"journal":{"sqlite":"a.db"},"children":[{"name":"a"}]}' });
  const findings = await examine({ cwd });
  expect(findings.filter(({ verdict }) => verdict === "failed")).toEqual([]);
  expect(of(findings, "configuration")?.message).toBe("castellan.config.json for test, 1 children");
  expect(of(findings, "journal")?.message).toContain(`${join(cwd, "a.db")} will be created`);
  expect(of(findings, "Claude Code")?.message).toMatch(/^ready after \d+ ms, as process \d+, and stopped again$/);
  expect([fake.processes.length, fake.running.length]).toEqual([1, 0]);
});

test("examine(): reports a wrong configuration and a failed start, each with its own reason", async () => {
  stubbed({ startup: (process) => process.failStart("your account has no access to this model") });
  const cwd = await folder({ "castellan.config.json": '{"maxRestarts":{"env":"NOT_SET"}}' });
  const findings = await examine({ cwd });
  expect(of(findings, "configuration")).toMatchObject({
    verdict: "failed",
    message: expect.stringContaining("NOT_SET"),
  });
  expect(of(findings, "Claude Code")).toMatchObject({
    verdict: "failed",
    message: expect.stringContaining("your account has no access to this model"),
  });
});

test("examine(): reports where Claude Code keeps its files, and that it cannot write there", async () => {
  stubbed();
  const cwd = await folder({ file: "" });
  vi.stubEnv("CLAUDE_CONFIG_DIR", join(cwd, "new/claude"));
  const subject = "Claude Code's files";
  expect(of(await examine({ cwd }), subject)).toEqual({ subject, verdict: "ok", message: join(cwd, "new/claude") });
  const defaults = { env: { CLAUDE_CONFIG_DIR: join(cwd, "file/claude") } };
  await writeFile(join(cwd, "castellan.config.json"), JSON.stringify({ children: [], defaults }));
  expect(of(await examine({ cwd }), subject)).toMatchObject({
    verdict: "failed",
    message: expect.stringMatching(/file\/claude cannot be written: .*file is a file; sessions forget/),
  });
});

test("examine(): reports a journal in use as ok, and a damaged or read-only one as failed", async () => {
  stubbed();
  const cwd = await folder();
  const sqlite = join(cwd, ".castellan", "castellan.db");
  const other = await Supervisor.start([], { journal: { sqlite } });
  expect(of(await examine({ cwd }), "journal")).toEqual({ subject: "journal", verdict: "ok", message: sqlite });
  await other.stop();
  await writeFile(sqlite, "this is no database, and long enough to be told from an empty one".repeat(20));
  expect(of(await examine({ cwd }), "journal")).toMatchObject({ verdict: "failed" });
  const closed = await folder();
  await chmod(closed, 0o500);
  // Root may write anywhere.
  const denied = process.getuid?.() === 0 ? "ok" : "failed";
  expect(of(await examine({ cwd: closed }), "journal")).toMatchObject({ verdict: denied });
});

test("examine(): reports a database whose commits do not wait for its replica", async () => {
  stubbed();
  const { primary } = await ReplicatedServer.start();
  const cwd = await folder({
    "castellan.config.json": JSON.stringify({ journal: { postgres: primary.url(), schema: "castellan" } }),
  });
  const told = async (): Promise<string | undefined> =>
    (await examine({ cwd })).find(({ subject }) => subject.startsWith("database of postgres://127.0.0.1"))?.message;
  expect(await told()).toMatch(/has a replica and waits for none.*name a standby in `synchronous_standby_names`/);
  await primary.sql("alter system set synchronous_standby_names = 'standby'");
  await primary.sql("select pg_reload_conf()");
  await expect.poll(told, { interval: 200, timeout: 10_000 }).not.toContain("replica");
  await primary.sql("alter database postgres set synchronous_commit = local");
  expect(await told()).toContain("commits do not wait for the standbys");
  await primary.sql("alter database postgres set synchronous_commit = off");
  expect(await told()).toContain("a crash loses accepted turns");
});
