import { readFileSync } from "node:fs";
import { join } from "node:path";
import { query, Supervisor, type SupervisorOptions, template } from "castellan";
import { expect, test, vi } from "vitest";
import { endChat, eraseForGood, eraseUser, exportUser, promptsOf } from "../../examples/erasure.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { onFake } from "./on-fake.ts";

const start = (options: SupervisorOptions): Promise<Supervisor> => Supervisor.start([template("support")], options);

test("erasure.ts: exports and erases a user, and reports what is left", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const { options } = onFake();
  await using supervisor = await start(options);
  for (const prompt of ["one", "two"]) await query(["support", 7], prompt);
  const path = join(newFolder(), "export.jsonl");
  await exportUser(supervisor, 7, path);
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  const types = lines.map((line) => JSON.parse(line).type).filter((type) => type !== "event");
  expect(types).toEqual(["session", "turn", "turn", "usage"]);
  expect(await promptsOf(supervisor, 7)).toEqual(["one", "two"]);
  expect(await eraseUser(supervisor, 7)).toMatchObject({ turns: 2, conversations: [expect.any(String)] });
  expect(warn).toHaveBeenCalledWith(expect.stringContaining("files in where `spawnClaudeCodeProcess`"));
  expect(await promptsOf(supervisor, 7)).toEqual([]);
  expect(await eraseForGood(supervisor, 7)).toBe(true);
});

test("erasure.ts: removes an ended chat but for its costs", async () => {
  const { options } = onFake();
  await using supervisor = await start(options);
  await query(["support", 8], "secret");
  await endChat(supervisor, 8);
  expect(await promptsOf(supervisor, 8)).toEqual([]);
  expect(await supervisor.usage({ by: ["session"] })).toMatchObject([{ session: ["support", 8], costUsd: 0.01 }]);
});
