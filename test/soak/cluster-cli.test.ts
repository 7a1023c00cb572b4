import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { global, Supervisor, template } from "../../src/index.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { castellan } from "../cli/command-line.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { unique } from "../session-on-fake/scene.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

test("castellan --cluster: asks the nodes of a cluster about global sessions, without a server", async () => {
  const support = unique("support");
  const fake = fakeClaude(async (turn) => {
    if (turn.prompt === "ask") await turn.askPermission("Write", { file_path: "/tmp/a" });
    await turn.text(`re: ${turn.prompt}`);
  });
  const folder = await mkdtemp(join(tmpdir(), "cluster-cli-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const cluster = { ...server.fresh(), name: "one", advertise: "http://127.0.0.1:0", secret: "s".repeat(32) };
  await writeFile(join(folder, "node.json"), JSON.stringify({ cluster: { ...cluster, patience: "3s" } }));
  await writeFile(join(folder, "none.json"), "{}");
  const children = [template(global(support), { approvals: true })];
  await using node = await Supervisor.start(children, { cluster, defaults: { spawnClaudeCodeProcess: fake.spawn } });
  const run = (...args: readonly string[]) => castellan([...args, "--cluster", "node.json"], { cwd: folder });
  const name = `global:${support}/ann`;

  expect(await run("query", name, "hello", "there")).toMatchObject({
    code: 0,
    stdout: "re: hello there\n",
    stderr: "",
  });
  expect((await run("nodes")).stdout).toMatch(/^NODE .*\none +alive/);
  expect((await run("ps", "--prefix", support)).stdout).toMatch(
    new RegExp(`^SESSION +STATE +NODE +EPOCH +TITLE\\n${name} +owned +one +1`),
  );
  expect((await run("logs", name)).stdout).toContain("re: hello there");
  expect(await run("hibernate", name)).toMatchObject({ code: 0 });
  expect(await run("wake", name)).toMatchObject({ code: 0 });
  expect((await run("inspect", name, "--json")).code).toBe(0);

  const asked = run("query", name, "ask");
  const pending = async (): Promise<readonly { readonly id: string }[]> =>
    JSON.parse((await run("approvals", "--json")).stdout);
  await vi.waitUntil(async () => (await pending()).length === 1, { timeout: 30_000 });
  const [approval] = await pending();
  expect(await run("approve", approval?.id ?? "")).toMatchObject({ code: 0 });
  expect(await asked).toMatchObject({ code: 0, stdout: "re: ask\n" });

  // Without a cluster, without a file, and with a server as well.
  expect(await castellan(["ps", "--cluster", "none.json"], { cwd: folder })).toMatchObject({
    code: 3,
    stderr: expect.stringContaining("none.json has no `cluster`"),
  });
  expect((await castellan(["ps", "--cluster", "missing.json"], { cwd: folder })).code).toBe(2);
  expect((await run("ps", "--url", "http://127.0.0.1:1")).code).toBe(2);
  expect((await run("ps", "--prefix", "nobody")).stderr).toContain("There are no such sessions.");
  // Commands on one supervisor do not take it.
  for (const command of ["drain", "tree", "usage"]) expect(await run(command)).toMatchObject({ code: 2, stdout: "" });
  await node.stop();
  const late = await run("query", name, "late");
  expect(late.code).not.toBe(0);
  expect(late.stderr).toContain("node");
}, 120_000);
