import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import {
  balance,
  type ConfigChange,
  follow,
  formatInspection,
  query,
  session,
  startFromConfig,
} from "../../src/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

it("startFromConfig on the real Claude Code: applies a changed file, with balancing, follow and inspect", async () => {
  await using api = await mockApi();
  const [one, two] = [unique("one"), unique("two")];
  const config = (effort: object): string =>
    JSON.stringify({ name: "app", journal: "memory", children: [{ name: one }, { name: two, ...effort }] });
  const file = join(api.cwd, "castellan.config.json");
  await writeFile(file, config({ systemPrompt: "You are the first" }));
  const changes: ConfigChange[] = [];
  await using supervisor = await startFromConfig({
    cwd: api.cwd,
    environment: "development",
    options: { defaults: { env: api.env, cwd: api.cwd } },
    onChange: (change) => changes.push(change),
  });
  const lines: string[] = [];
  const write = (_: object, message: string): void => void lines.push(message);
  const stop = follow(one, { logger: { info: write, warn: write } });
  const both = balance([one, two], "round_robin");
  for (const prompt of ["a", "b"]) expect((await query(both, prompt)).text).toBe(`You said: ${prompt}`);
  const [kept, replaced] = [session(one).status().pid, session(two).status().pid];
  expect(kept).not.toBe(replaced);

  await writeFile(file, config({ systemPrompt: "You are another one", disallowedTools: ["Write"] }));
  await vi.waitUntil(() => changes.length > 0, { timeout: 30_000, interval: 20 });
  expect(changes).toMatchObject([{ applied: true, report: { changed: [two], failed: [] } }]);
  expect(session(one).status().pid).toBe(kept);
  expect(session(two).status().pid).not.toBe(replaced);
  // In another process, with its conversation.
  expect((await query(two, "What did I just say?")).text).toBe("You just said: b");
  expect(api.lastRequest?.tools).toContain("Read");
  expect(api.lastRequest?.tools).not.toContain("Write");
  // Claude Code keeps the system prompt that a conversation began with. A new conversation gets the new one.
  expect(api.lastRequest?.system).toContain("You are the first");
  await session(two).clear();
  await query(two, "hello");
  expect(api.lastRequest?.system).toContain("You are another one");

  const text = formatInspection(supervisor.inspect());
  expect(text).toMatch(new RegExp(`session "${one}" {2}idle {2}pid ${kept} {2}since \\S+ {2}mailbox 0 {2}restarts 0`));
  expect(text).toContain('systemPrompt = "You are another one"  (session, castellan.config.json)');
  expect(text).not.toContain(api.env["ANTHROPIC_API_KEY"] ?? "no key");
  expect(lines.length).toBeGreaterThan(3);
  stop();
  const before = lines.length;
  await query(one, "c");
  expect(lines).toHaveLength(before);
});
