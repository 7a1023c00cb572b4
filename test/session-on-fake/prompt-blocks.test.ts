import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { expect, test } from "vitest";
import { once, query, session } from "../../src/castellan.ts";
import { type ExportedLine, type Journal, type Prompt, type PromptBlock, pool } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { document, image } from "../session/prompt-contents.ts";
import { run } from "./application.ts";
import { collect, failure, Scene, thrown, unique } from "./scene.ts";

const look: PromptBlock = { type: "text", text: "What is this?" };
const blocks: readonly PromptBlock[] = [look, image, document()];

/** Remembers what the process gets. */
function listening(then: FakeScript = (turn) => turn.text("seen")) {
  const sent: unknown[] = [];
  const script: FakeScript = async (turn) => {
    sent.push(turn.message.message.content);
    await then(turn);
  };
  return { sent, script };
}

test("Prompt: content blocks reach the process unchanged from every method", async () => {
  const { sent, script } = listening((turn) => turn.text(`${turn.verbatim ? "text" : "typed"}: ${turn.prompt}`));
  const [name, crew] = [unique(), unique("crew")];
  await using scene = await Scene.open({ script, children: [{ name }, pool(crew, { size: 1 })] });
  const replies = [
    await query(name, blocks),
    await session(name).stream(blocks).result(),
    await session(name)
      .enqueue(blocks)
      .then(async (id) => await (await session(name).turn(id))?.result()),
    await scene.supervisor.query(crew, blocks),
    await scene.supervisor.pool(crew).use((lent) => lent.query(blocks)),
    await once(blocks, { spawnClaudeCodeProcess: scene.fake.spawn }),
  ];
  expect(replies.map((reply) => reply?.text)).toEqual(replies.map(() => "text: What is this?"));
  expect(sent).toEqual(replies.map(() => blocks));
  await thrown(() => session(name).stream([image, { type: "text", text: "" }]), "INVALID_OPTIONS");
  await failure(scene.supervisor.query(crew, []), "INVALID_OPTIONS");
});

test("Prompt: the turn has the blocks of the call, whatever its caller changes later", async () => {
  const { sent, script } = listening();
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  const changed: PromptBlock[] = [{ ...look }, image];
  const turns = [changed, changed].map((prompt) => scene.supervisor.stream(name, prompt).result());
  changed[0] = { type: "text", text: "another" };
  changed.push(document());
  await Promise.all(turns);
  expect(sent).toEqual([
    [look, image],
    [look, image],
  ]);
});

test("Prompt: blocks are sent again when the process dies before it has answered", async () => {
  let crashes = 1;
  const { sent, script } = listening(async (turn) => {
    if (crashes-- > 0) await turn.crash({ signal: "SIGKILL" });
    await turn.text("seen");
  });
  await using scene = await Scene.open({ script });
  expect((await scene.session.query(blocks)).text).toBe("seen");
  expect(sent).toEqual([blocks, blocks]);
});

const JOURNALS: readonly [string, () => Promise<() => Journal>][] = [
  [
    "memory",
    async () => {
      const journal = memoryJournal();
      return () => journal;
    },
  ],
  [
    "sqlite",
    async () => {
      const sqlite = `${newFolder()}/castellan.db`;
      return () => sqliteJournal({ sqlite });
    },
  ],
];

test.each(JOURNALS)(
  "Prompt: blocks that wait in the journal run after a restart of the application: %s",
  async (_, make) => {
    const journal = await make();
    const name = unique();
    const stuck = { fake: fakeClaude((turn) => turn.hang()), journal: journal() };
    const first = await run(stuck, [{ name }]);
    const ids = [await first.session(name).enqueue(blocks), await first.session(name).enqueue([image, look])];
    await stuck.fake.prompted(1);
    await first.stop();

    const { sent, script } = listening();
    await using second = await run({ fake: fakeClaude(script), journal: journal() }, [{ name }]);
    for (const id of ids) expect((await (await second.session(name).turn(id))?.result())?.text).toBe("seen");
    expect(sent).toEqual([blocks, [image, look]]);
    const accepted = await collect(second.session(name).events({ types: ["turn_accepted"], live: false }));
    expect(accepted).toMatchObject([
      { turnId: ids[0], promptKind: "text", blocks: [look, { type: "image" }, { type: "document", title: "Terms" }] },
      { turnId: ids[1], blocks: [{ type: "image" }, look] },
    ]);
    expect(accepted[0]).not.toHaveProperty("prompt");
  },
);

test("idempotencyKey: compares the blocks of a prompt, also after a restart of the application", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique();
  const idempotencyKey = "k";
  const first = await run(both, [{ name }]);
  const reply = await first.query(name, blocks, { idempotencyKey });
  // The order of a block's fields does not matter.
  const same = [look, image, Object.fromEntries(Object.entries(document()).toReversed())] as readonly PromptBlock[];
  const others: readonly Prompt[] = [
    "What is this?",
    [look],
    [look, image],
    [image, look, document()],
    [look, image, document(61)],
    [look, image, { ...document(), title: "Other" }],
    JSON.stringify(blocks),
  ];
  expect(await first.query(name, same, { idempotencyKey })).toEqual(reply);
  for (const other of others) await thrown(() => first.stream(name, other, { idempotencyKey }), "INVALID_OPTIONS");
  await first.stop();
  await using second = await run(both, [{ name }]);
  expect(await second.query(name, same, { idempotencyKey })).toEqual(reply);
  for (const other of others) await failure(second.query(name, other, { idempotencyKey }), "INVALID_OPTIONS");
  expect(both.fake.processes.flatMap(({ prompts }) => prompts)).toHaveLength(1);
});

test("Prompt: without verbatimPrompts the fake runs a command only in the last block", async () => {
  await using scene = await Scene.open({ session: { verbatimPrompts: false } });
  await scene.session.query("remember");
  await scene.session.query([{ type: "text", text: "/clear" }, image]);
  expect(scene.transcript()).toHaveLength(4);
  await scene.session.query([image, { type: "text", text: "/clear" }]);
  expect(scene.transcript()).toEqual([]);
});

test("journal: stores a large prompt once, for its turn and its event, and deletes it with both", async () => {
  const folder = newFolder();
  const sqlite = `${folder}/castellan.db`;
  const name = unique();
  const both = { fake: fakeClaude((turn) => turn.text("seen")), journal: sqliteJournal({ sqlite }) };
  const supervisor = await run(both, [{ name }]);
  const large = "A long text. ".repeat(80_000);
  await supervisor.query(name, large);
  await supervisor.query(name, [{ type: "text", text: large }, document(1_000_000)]);
  const content = createHash("sha256").update(large).digest("hex");
  const [accepted] = await collect(supervisor.session(name).events({ types: ["turn_accepted"], live: false }));
  expect(accepted).toMatchObject({ prompt: { $content: content, size: large.length, mediaType: "text/plain" } });
  expect((await supervisor.session(name).content({ $content: content, size: 0, mediaType: "" }))?.data.length).toBe(
    large.length,
  );
  await supervisor.stop();
  const bytes = statSync(sqlite).size;
  expect(bytes).toBeGreaterThan(large.length + 1_000_000);
  expect(bytes).toBeLessThan(1.25 * (large.length + 1_000_000));

  await using second = await run(both, [{ name }]);
  const exported: ExportedLine[] = [];
  for await (const line of second.exportSession(name)) exported.push(JSON.parse(line));
  expect(exported.filter(({ type }) => type === "content")).toHaveLength(2);
  expect(exported).toContainEqual({ type: "content", hash: content, mediaType: "text/plain", text: large });
  await second.eraseSession(name);
  const files = readdirSync(folder).map((file) => readFileSync(`${folder}/${file}`));
  expect(files.filter((file) => file.includes("A long text. A long text."))).toEqual([]);
  expect(files.filter((file) => file.includes("%PDF-1.4"))).toEqual([]);
});

test("Session.turn(): keeps few ended turns with large prompts in memory; the journal has the others", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text("seen") });
  const ids: string[] = [];
  for (const prompt of ["x".repeat(9_000_000), [document(7_000_000)], [document(7_000_001)], [look]]) {
    const turn = scene.session.stream(prompt);
    await turn.result();
    ids.push(turn.id);
  }
  const turns = await Promise.all(ids.map((id) => scene.session.turn(id)));
  expect(turns.map((turn) => turn?.recalled)).toEqual([true, true, false, false]);
});
