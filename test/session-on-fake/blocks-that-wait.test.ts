import { expect, test } from "vitest";
import { type Clock, systemClock } from "../../src/clock.ts";
import { type ExportedLine, type PromptBlock, pool } from "../../src/index.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { document, image } from "../session/prompt-contents.ts";
import { expectNothingLeft, run } from "./application.ts";
import { collect, eventually, failure, unique } from "./scene.ts";

const HOUR = 3_600_000;
const LONG = "long ".repeat(20_000);
const look: PromptBlock = { type: "text", text: "What is this?" };
const blocks: readonly PromptBlock[] = [look, image, document(), { type: "text", text: LONG }];
const others: readonly PromptBlock[] = [look, document(), image, { type: "text", text: LONG }];

/** Exports a session. */
async function exported(lines: AsyncIterable<string>): Promise<ExportedLine[]> {
  const read: ExportedLine[] = [];
  for await (const line of lines) read.push(JSON.parse(line) as ExportedLine);
  return read;
}

/** A clock of an hour ago, so that a prompt for later is due in the next application. */
const earlier: Clock = { ...systemClock, now: () => systemClock.now() - HOUR };

function listening() {
  const sent: unknown[] = [];
  const fake = fakeClaude(async (turn) => {
    sent.push(turn.message.message.content);
    await turn.text("seen");
  });
  return { sent, fake };
}

test.each([
  ["blocks", blocks, others],
  ["a long text", LONG, `${LONG}!`],
] as const)(
  "pool.enqueue(): %s of a job survive a restart in SQLite, run once, and are in the record",
  async (_, prompt, other) => {
    const sqlite = `${newFolder()}/castellan.db`;
    const name = unique("pool");
    const options = { idempotencyKey: "k", metadata: { n: 1 } };
    const before = listening();
    const first = await run({ fake: before.fake, journal: sqliteJournal({ sqlite }), clock: earlier }, [
      pool(name, { size: 1 }),
    ]);
    const id = await first.pool(name).enqueue(prompt, { ...options, delay: "10m" });
    expect(await first.pool(name).enqueue(prompt, options)).toBe(id);
    await failure(first.pool(name).enqueue(other, options), "INVALID_OPTIONS");
    const beginning = typeof prompt === "string" ? prompt.slice(0, 1_000) : `What is this?\n${LONG}`.slice(0, 1_000);
    expect(await first.pool(name).turns()).toMatchObject([
      { id, state: "queued", prompt: beginning, metadata: { n: 1 } },
    ]);
    await first.stop();
    expect(before.sent).toEqual([]);

    const { sent, fake } = listening();
    const second = await run({ fake, journal: sqliteJournal({ sqlite }) }, [pool(name, { size: 1 })]);
    const jobs = second.pool(name);
    expect(await jobs.enqueue(prompt, options)).toBe(id);
    await failure(jobs.enqueue(other, options), "INVALID_OPTIONS");
    const turn = await jobs.turn(id);
    expect(turn?.metadata).toEqual({ n: 1 });
    expect((await turn?.result())?.text).toBe("seen");
    expect(await jobs.enqueue(prompt, options)).toBe(id);
    await failure(jobs.enqueue(other, options), "INVALID_OPTIONS");
    expect(await jobs.turns()).toMatchObject([{ id, state: "completed", prompt: beginning, metadata: { n: 1 } }]);
    expect(sent).toEqual([prompt]);
    const [accepted] = turn === undefined ? [] : await collect(turn.events());
    expect(accepted).toMatchObject({ type: "turn_accepted", turnId: id, metadata: { n: 1 } });
    expect(JSON.stringify(accepted).length).toBeLessThan(3_000);
    expect(JSON.stringify(accepted)).toContain("$content");
    const session = [name, 0] as const;
    const lines = await exported(second.exportSession(session));
    expect(lines.filter(({ type }) => type === "turn")).toHaveLength(1);
    expect(lines.filter(({ type }) => type === "content")).toHaveLength(typeof prompt === "string" ? 1 : 3);
    expect(await second.eraseSession(session)).toMatchObject({ turns: 1 });
    expect(await jobs.turn(id)).toBeUndefined();
    await second.stop();
    expectNothingLeft(fake);
  },
);

test.each([
  ["blocks", blocks, others],
  ["a long text", LONG, `${LONG}!`],
] as const)(
  "session.enqueue({ runAt }): %s of a schedule survive a restart in SQLite, run once, and are in the record",
  async (_, prompt, other) => {
    const sqlite = `${newFolder()}/castellan.db`;
    const name = unique();
    const options = { idempotencyKey: "k", metadata: { n: 1 } };
    const before = listening();
    const first = await run({ fake: before.fake, journal: sqliteJournal({ sqlite }), clock: earlier }, [{ name }]);
    const id = await first.session(name).enqueue(prompt, { ...options, runAt: Date.now() - HOUR / 2 });
    expect(await first.session(name).enqueue(prompt, { ...options, runAt: 1 })).toBe(id);
    await failure(first.session(name).enqueue(other, { ...options, runAt: 1 }), "INVALID_OPTIONS");
    const text = typeof prompt === "string" ? prompt : `What is this?\n${LONG}`;
    expect(await first.session(name).schedules()).toMatchObject([{ id, prompt: text, metadata: { n: 1 } }]);
    const waiting = await exported(first.exportSession(name));
    expect(waiting.filter(({ type }) => type === "job")).toHaveLength(1);
    await first.stop();
    expect(before.sent).toEqual([]);

    const { sent, fake } = listening();
    const second = await run({ fake, journal: sqliteJournal({ sqlite }) }, [{ name }]);
    const session = second.session(name);
    await failure(session.enqueue(other, { ...options, runAt: 1 }), "INVALID_OPTIONS");
    await eventually(() => sent.length === 1);
    const turn = await session.turn(id);
    expect((await turn?.result())?.text).toBe("seen");
    expect(await session.enqueue(prompt, { ...options, runAt: 1 })).toBe(id);
    await failure(session.enqueue(other, { ...options, runAt: 1 }), "INVALID_OPTIONS");
    expect(await session.schedules()).toEqual([]);
    expect(await session.turns()).toMatchObject([
      { id, state: "completed", origin: "caller", prompt: text.slice(0, 1_000), metadata: { n: 1 } },
    ]);
    expect(sent).toEqual([prompt]);
    const [accepted] = turn === undefined ? [] : await collect(turn.events());
    expect(accepted).toMatchObject({ type: "turn_accepted", turnId: id, metadata: { n: 1 } });
    expect(JSON.stringify(accepted).length).toBeLessThan(3_000);
    expect(JSON.stringify(accepted)).toContain("$content");
    const lines = await exported(second.exportSession(name));
    expect(lines.filter(({ type }) => type === "content")).toHaveLength(typeof prompt === "string" ? 1 : 3);
    await session.enqueue(prompt, { every: "1h" });
    await second.eraseSession(name);
    expect(await exported(second.exportSession(name))).toMatchObject([{ type: "session" }]);
    await second.stop();
    expectNothingLeft(fake);
  },
);
