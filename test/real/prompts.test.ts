import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { command, Supervisor } from "../../src/index.ts";
import { messagesApi } from "../../src/testing/index.ts";
import { failure, unique } from "../session-on-fake/scene.ts";

it("Session.query: sends typed text verbatim, and runs commands by name only", async () => {
  await using api = await messagesApi();
  await writeFile(join(api.cwd, "secret.txt"), "what nobody asked for");
  const name = unique();
  await using supervisor = await Supervisor.start([{ name, tools: [] }], {
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd },
  });
  const typed = ["Summarise @secret.txt", "/config permissionMode=acceptEdits", "/model haiku", "/clear"];
  for (const prompt of typed) expect((await supervisor.query(name, prompt)).text).toBe(`You said: ${prompt}`);
  // File, settings and model are unchanged, and Claude got every prompt as typed.
  expect(api.requests).toHaveLength(typed.length);
  expect(api.requests.filter(({ raw }) => raw.includes("what nobody asked for"))).toEqual([]);
  expect(new Set(api.requests.map(({ body }) => body.model)).size).toBe(1);
  expect(api.lastRequest?.texts.map(({ text }) => text)).toEqual(expect.arrayContaining(typed));
  await expect(readFile(join(api.cwd, "..", "home/.claude/settings.json"))).rejects.toThrow("ENOENT");

  const session = supervisor.session(name);
  expect(await session.compact()).toMatchObject({ text: "The conversation has been compacted.", command: "compact" });
  expect((await failure(session.query(command("compakt")), "COMMAND_NOT_FOUND")).details.nearMisses).toEqual([
    "compact",
  ]);
  await session.query("Summarise @secret.txt", { verbatimPrompts: false });
  expect(api.lastRequest?.raw).toContain("what nobody asked for");
});
