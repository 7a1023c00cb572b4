import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { type ExportedLine, query, Supervisor, session } from "../../src/index.ts";
import { messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

it("a session resumes its conversation from the journal when home and working directory are new", async () => {
  await using api = await messagesApi(({ body }) => ({
    text: `I know ${[...new Set(JSON.stringify(body.messages).match(/word-\d/g))].join(" and ")}.`,
  }));
  const { HOME: _, CLAUDE_CONFIG_DIR: _1, ...env } = api.env;
  const root = dirname(api.cwd);
  const journal = { sqlite: join(root, "journal", "castellan.db") };
  const name = unique("anywhere");
  for (const n of [1, 2]) {
    const [home, cwd] = [join(root, `home-${n}`), join(root, `work-${n}`)];
    for (const folder of [home, cwd]) mkdirSync(folder);
    await using supervisor = await Supervisor.start([{ name }], {
      journal,
      defaults: { env: { ...env, HOME: home }, cwd, enableFileCheckpointing: true },
    });
    expect(await session(name).transcript()).toHaveLength(n === 1 ? 0 : 2);
    const { text } = await query(name, `This is word-${n}.`);
    expect(text).toBe(n === 1 ? "I know word-1." : "I know word-1 and word-2.");
    expect(session(name).status().faults).toEqual([]);
    // Claude Code may still write there.
    rmSync(home, { recursive: true, maxRetries: 10 });
    if (n === 2) {
      const lines = (await Array.fromAsync(supervisor.exportSession(name))).map(
        (text) => JSON.parse(text) as ExportedLine,
      );
      const said = lines.filter((one) => one.type === "transcript" && JSON.stringify(one.entry).includes("word-1"));
      expect(said.length).toBeGreaterThan(1);
      expect(await supervisor.eraseSession(name)).toMatchObject({ transcripts: 1, left: [] });
    }
  }
  expect(api.errors).toEqual([]);
});
