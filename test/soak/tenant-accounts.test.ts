import { chmod, chown, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { asAccount, inContainers } from "../../examples/tenants.ts";
import { Supervisor } from "../../src/index.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

/* The guide's code for users and containers. */

let api: MessagesApi;
/** A directory that other users may enter. */
let open: string;

beforeAll(async () => {
  api = await messagesApi();
});

afterAll(async () => {
  await api.stop();
});

beforeEach(async () => {
  open = await realpath(await mkdtemp(join(tmpdir(), "castellan-tenants-")));
  await chmod(open, 0o755);
});

afterEach(async () => {
  await rm(open, { recursive: true, force: true });
});

it("asAccount: runs a session as another user, with its files and its conversation", async () => {
  // Only root can become another user.
  const { uid, gid } = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : userInfo();
  const home = join(open, "home");
  await mkdir(home);
  await chown(home, uid, gid);
  const name = unique();
  const account = asAccount({ uid, gid, home });
  const env = { ...api.env, ...account.env };
  await using supervisor = await Supervisor.start([{ name, ...account, env, allowedTools: ["Bash"] }]);
  let isUsed = false;
  api.model = () => {
    if (isUsed) return { text: "done" };
    isUsed = true;
    return { toolUses: [{ name: "Bash", input: { command: "echo x > made" } }] };
  };
  await supervisor.query(name, "Who are you?");
  expect(await stat(join(home, "made"))).toMatchObject({ uid, gid });
  expect(await readdir(join(home, ".claude", "projects"))).toHaveLength(1);
  await supervisor.session(name).hibernate();
  await supervisor.query(name, "And who was that?");
  expect(api.lastRequest?.texts.map(({ text }) => text).join()).toContain("Who are you?");
});

it("inContainers: runs a session in a container with its directory, and passes its key by name", async () => {
  const root = join(open, "sessions");
  // The stand-in for the engine runs what it is told, without a container.
  const [engine, argumentsFile] = [join(open, "engine"), join(open, "told")];
  const sdk = dirname(createRequire(import.meta.url).resolve("@anthropic-ai/claude-agent-sdk"));
  const binary = join(`${sdk}-${process.platform}-${process.arch}`, "claude");
  const script = `#!/bin/sh
printf '%s\\n' "$@" > ${argumentsFile}
while [ "$1" != claude ]; do
  case "$1" in --workdir) cd "$2";; esac
  shift
done
shift
exec ${binary} "$@"
`;
  await writeFile(engine, script, { mode: 0o755 });
  const name = unique();
  const container = inContainers(root, "registry.example/claude", engine);
  const env = { ...api.env, ...container.env };
  await using supervisor = await Supervisor.start([{ name, ...container, env, apiKey: "sk-ant-of-the-tenant" }]);
  const { cwd } = supervisor.session(name);
  api.model = () => ({ text: "hello" });
  expect((await supervisor.query(name, "Hello")).text).toBe("hello");
  expect(api.lastRequest?.headers["x-api-key"]).toBe("sk-ant-of-the-tenant");
  const flags = (await readFile(argumentsFile, "utf8")).split("\n");
  expect(flags.slice(0, 4)).toEqual(["run", "--rm", "--interactive", "--init"]);
  expect(flags).toEqual(expect.arrayContaining([`${cwd}:${cwd}`, "ANTHROPIC_API_KEY", "registry.example/claude"]));
  expect(flags.join()).not.toContain("sk-ant");
  expect(flags.filter((flag) => flag === "HOME" || flag === "PATH")).toEqual([]);
  // All of the session's data is in its directory.
  expect(await readdir(join(cwd, ".claude", "projects"))).toHaveLength(1);
  expect(await supervisor.session(name).transcript()).toHaveLength(2);
  await supervisor.session(name).hibernate();
  await supervisor.query(name, "Again");
  expect(api.lastRequest?.texts.map(({ text }) => text)).toEqual(expect.arrayContaining(["Hello", "hello", "Again"]));
});
