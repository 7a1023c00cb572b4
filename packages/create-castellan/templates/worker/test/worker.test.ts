import assert from "node:assert/strict";
import { on } from "node:events";
import { watch } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Supervisor } from "castellan";
import { type FakeScript, fakeClaude } from "castellan/testing";
import { summaries } from "../src/summaries.ts";
import { type Folders, summarise, work } from "../src/worker.ts";

/* The worker on a fake Claude, which answers at once: `npm test` needs no key, no network and no real process. */

async function scene(t: { after(clean: () => Promise<void>): void }, script?: (folders: Folders) => FakeScript) {
  const root = await mkdtemp(join(tmpdir(), "worker-"));
  t.after(() => rm(root, { recursive: true }));
  const folders = { inbox: join(root, "inbox"), outbox: join(root, "outbox") };
  for (const folder of Object.values(folders)) await mkdir(folder);
  const fake = fakeClaude(script?.(folders));
  const prompts = () => fake.processes.flatMap((process) => process.prompts);
  const start = () =>
    Supervisor.start([summaries], {
      journal: { sqlite: join(root, "jobs.db") },
      defaults: { spawnClaudeCodeProcess: fake.spawn },
    });
  return { folders, prompts, start };
}

test("a file of the inbox becomes a summary in the outbox", async (t) => {
  const { folders, start } = await scene(t);
  await writeFile(join(folders.inbox, "letter.txt"), "Dear all");
  await using supervisor = await start();
  await summarise(supervisor, folders, "letter.txt");
  const [name = ""] = await readdir(folders.outbox);
  assert.match(name, /^letter\.txt\.[0-9a-f]{8}\.md$/);
  assert.match(await readFile(join(folders.outbox, name), "utf8"), /Dear all/);
});

test("a worker that starts again asks about no file twice", async (t) => {
  const { folders, prompts, start } = await scene(t);
  await writeFile(join(folders.inbox, "letter.txt"), "Dear all");
  for (let n = 0; n < 2; n++) {
    await using supervisor = await start();
    await summarise(supervisor, folders, "letter.txt");
    // As if the worker had been killed before it wrote the file.
    for (const name of await readdir(folders.outbox)) await rm(join(folders.outbox, name));
  }
  assert.equal(prompts().length, 1);
});

test("the worker sees files that come before, while and after it looks, and those that change while their jobs run", {
  timeout: 30_000,
}, async (t) => {
  const { folders, prompts, start } = await scene(t, ({ inbox }) => async (turn) => {
    // The file changes while its job runs.
    if (turn.prompt.endsWith("first")) await writeFile(join(inbox, "letter.txt"), "second");
    await turn.text("A summary");
  });
  const wanted = async (count: number, signal: AbortSignal): Promise<void> => {
    const changes = on(watch(folders.outbox, { signal }), "change", { signal });
    const isEnough = async () => (await readdir(folders.outbox)).filter((name) => name.endsWith(".md")).length >= count;
    while (!(await isEnough())) await changes.next();
  };
  await using supervisor = await start();
  await writeFile(join(folders.inbox, "before.txt"), "before");
  const ending = new AbortController();
  const working = work(supervisor, folders, ending.signal);
  await writeFile(join(folders.inbox, "while.txt"), "while");
  await writeFile(join(folders.inbox, "letter.txt"), "first");
  await wanted(4, t.signal);
  const texts = prompts().map((prompt) => prompt.split("\n").at(-1));
  assert.deepEqual(texts.toSorted(), ["before", "first", "second", "while"]);
  ending.abort();
  await working;
});
