import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { template } from "../../src/application/options/template.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { castellan, RunningCommand } from "./command-line.ts";
import { served } from "./served.ts";

/** Asks for a permission if the prompt says so, and hangs if it says that. */
const script: FakeScript = async (turn) => {
  if (turn.prompt.startsWith("hang")) await turn.toolUse("Bash", { command: "hang" }, { hang: true });
  if (!turn.prompt.startsWith("ask")) return turn.text(`re: ${turn.prompt}`);
  const { behavior } = await turn.askPermission("Write", { file_path: "/tmp/\u001b[31m" });
  await turn.text(behavior);
};

test("castellan: lists, queries and inspects sessions, as tables and as JSON", async () => {
  const support = template("support", (user: number) => ({ title: `User ${user}`, labels: { plan: "paid" } }));
  const { run, scene } = await served([{ name: "assistant" }, support], {}, fakeClaude(script));
  expect(await run("query", "support/42", "hello", "there")).toMatchObject({ code: 0, stdout: "re: hello there\n" });
  const file = join(scene.folder, "export.jsonl");
  const ps = await run("ps");
  const byLabel = await run("ps", "--label", "plan=paid", "--json");
  const quiet = await run("ps", "-q", "--prefix", "support");
  const tree = await run("tree");
  const health = await run("health", "--json");
  const inspected = await run("inspect", "support/42", "--json");
  const usage = await run("usage", "--by", "session");
  const capacity = await run("capacity", "--json");
  const nodes = await run("nodes");
  const logs = await run("logs", "support/42");
  const top = await run("top");
  expect(await run("export", "support/42", "--output", file)).toMatchObject({ code: 0, stdout: "" });
  expect(await run("export", "support/42", "--output", file)).toMatchObject({ code: 1 });
  const lines = ps.stdout.trimEnd().split("\n");
  expect(lines[0]).toMatch(/^SESSION +STATE +FOR +QUEUE +PID +MEMORY +RESTARTS +TITLE$/);
  expect(lines.slice(1)).toEqual([
    expect.stringMatching(/^assistant +idle/),
    expect.stringMatching(/^support\/42 +idle +0 +\d+ +0 +User 42$/),
  ]);
  expect(JSON.parse(byLabel.stdout)).toMatchObject([{ name: ["support", 42], state: "idle" }]);
  expect(quiet.stdout).toBe("support/42\n");
  expect(tree.stdout).toContain("├─ assistant idle\n├─ support (template) 1 session\n└─ support/42 idle\n");
  expect(JSON.parse(health.stdout)).toMatchObject({ status: "healthy", sessions: 2 });
  expect(JSON.parse(inspected.stdout)).toMatchObject({
    name: ["support", 42],
    options: { title: { value: "User 42" } },
  });
  expect(usage.stdout).toMatch(/^SESSION +COST .*\nsupport\/42 +\$0\.01/);
  expect(JSON.parse(capacity.stdout)).toMatchObject({ processes: 2 });
  expect(nodes).toMatchObject({ code: 0, stdout: "", stderr: "The server is in no cluster.\n" });
  expect(logs.stdout).toContain("> hello there  (by local)\n");
  expect(logs.stdout).toContain("re: hello there\n= completed (");
  expect(top.stdout).toContain(
    "2 processes (0 waiting), 0 turns (0 waiting), 2 sessions\nno approval waits\n\nSESSION",
  );
  const types = (await readFile(file, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).type);
  expect([types[0], (await stat(file)).mode & 0o777]).toEqual(["session", 0o600]);
});

test("castellan: controls sessions, and asks before it forgets a conversation", async () => {
  const { run, scene } = await served([{ name: "a" }, { name: "b" }, { name: "c" }], {}, fakeClaude(script));
  const state = (name: string) => scene.supervisor.listSessions({ prefix: name })[0]?.state;
  const hibernated = await run("hibernate", "a");
  const restarted = await run("restart", "b");
  const unconfirmed = await run("rm", "c");
  expect([hibernated.stdout, restarted.stdout]).toEqual(["a is hibernated\n", "b is idle\n"]);
  expect(unconfirmed).toMatchObject({ code: 2, stderr: expect.stringContaining("--yes") });
  const touched = await run("touch", "a");
  const woken = await run("wake", "a");
  const stopped = await run("stop", "b", "--json");
  const removed = await run("rm", "c", "--yes");
  expect([touched.stdout, woken.stdout, stopped.stdout, removed.stdout]).toEqual([
    "a is starting its process\n",
    "a is idle\n",
    '{"stopped":"b"}\n',
    "c is deleted\n",
  ]);
  expect(["a", "b", "c"].map(state)).toEqual(["idle", undefined, undefined]);
});

test("castellan: answers permission requests by the beginning of their ids", async () => {
  const { run, scene } = await served([{ name: "a", approvals: true }], {}, fakeClaude(script));
  const pending = async () => {
    await expect.poll(() => scene.supervisor.session("a").approvals().length).toBe(1);
    return scene.supervisor.session("a").approvals()[0]?.id ?? "";
  };
  const first = scene.supervisor.query("a", "ask one");
  const id = await pending();
  const listed = await run("approvals");
  const none = await run("approve", "none");
  expect(listed.stdout).toContain(`${id}  a        Write`);
  expect(listed.stdout).not.toContain("\u001b");
  expect(none).toMatchObject({ code: 5, stderr: expect.stringContaining("No permission request none waits") });
  expect((await run("approve", id.slice(0, 8))).stdout).toBe("Write of a is approved\n");
  expect((await first).text).toBe("allow");
  const second = scene.supervisor.query("a", "ask two");
  expect((await run("deny", await pending(), "-m", "not now", "--json")).stdout).toContain('"outcome":"denied"');
  expect((await second).text).toBe("deny");
});

test("castellan query: detaches, and takes a key", async () => {
  const { run, scene } = await served([{ name: "a" }], {}, fakeClaude(script));
  const detached = await run("query", "a", "once", "--detach", "--key", "k");
  expect((await run("query", "a", "once", "--detach", "--key", "k")).stdout).toBe(detached.stdout);
  expect((await run("query", "a", "once", "--key", "k")).stdout).toBe("re: once\n");
  expect(scene.fake.running[0]?.prompts).toEqual(["once"]);
});

test("castellan: exits by the kind of an error, and says it as JSON on request", async () => {
  const { run } = await served([{ name: "a" }]);
  const missing = await run("query", "none", "hi", "--json");
  expect(JSON.parse(missing.stderr)).toEqual({ error: { code: "SESSION_NOT_FOUND", message: expect.any(String) } });
  const unreachable = await run("ps", "--url", "http://127.0.0.1:9");
  const wrongName = await run("logs", "support/");
  const noTerminal = await run("attach", "a");
  expect([missing.code, unreachable.code, wrongName.code, noTerminal.code]).toEqual([5, 3, 2, 2]);
});

test("castellan query: as a process reads its input, and interrupts its turn at Ctrl-C", async () => {
  const { scene, url } = await served([{ name: "a" }], {}, fakeClaude(script));
  const where = { cwd: scene.folder, env: { CASTELLAN_URL: url } };
  const piped = await castellan(["query", "a", "--json"], { ...where, input: "from a pipe" });
  expect(JSON.parse(piped.stdout)).toMatchObject({ text: "re: from a pipe" });
  const hanging = new RunningCommand(["query", "a", "hang"], where);
  await expect.poll(() => scene.fake.running[0]?.prompts.at(-1), { timeout: 30_000 }).toBe("hang");
  hanging.child.kill("SIGINT");
  expect(await hanging.ended).toMatchObject({ code: 7, stderr: expect.stringContaining("Interrupts the turn") });
});

test("castellan query: interrupts its turn at Ctrl-C before it has the server's answer", async () => {
  const { scene, url } = await served([{ name: "a" }], {}, fakeClaude(script));
  const answers = Promise.withResolvers<void>();
  const late = createServer(async ({ method = "", url: path = "", headers }, response) => {
    const { authorization = "", "idempotency-key": key = "", "content-type": type = "" } = headers;
    const sent = Object.entries({ authorization, "idempotency-key": String(key), "content-type": type });
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: sent.filter(([, value]) => value !== ""),
      ...(method === "POST" && { body: await text(response.req) }),
    });
    await answers.promise;
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" });
    response.end(await answer.text());
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void late.close());
  await once(late, "listening");
  const { port } = late.address() as AddressInfo;
  const env = { CASTELLAN_URL: `http://127.0.0.1:${port}` };
  const hanging = new RunningCommand(["query", "a", "hang"], { cwd: scene.folder, env });
  await expect.poll(() => scene.fake.running[0]?.prompts.at(-1), { timeout: 30_000 }).toBe("hang");
  hanging.child.kill("SIGINT");
  await Promise.race([once(hanging.child.stderr ?? hanging.child, "data"), hanging.ended]);
  answers.resolve();
  expect(await hanging.ended).toMatchObject({ code: 7, stderr: expect.stringContaining("Interrupts the turn") });
  expect((await scene.supervisor.session("a").turns())[0]?.state).toBe("interrupted");
});
