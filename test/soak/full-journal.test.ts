import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import { pool } from "../../src/index.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { MIGRATIONS } from "../../src/journal/sqlite/sqlite-schema.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { expectNothingLeft, run } from "../session-on-fake/application.ts";
import { collect, eventually, failure, unique } from "../session-on-fake/scene.ts";

/** How many pages the journal's connection may use. */
const MOST_PAGES = 500;

/** A SQLite file that another connection fills, until SQLite itself tells the journal that the database is full. */
class SmallFile {
  readonly sqlite: string = join(newFolder(), "castellan.db");
  readonly #other: DatabaseSync;

  constructor() {
    // The journal may be writing.
    this.#other = new DatabaseSync(this.sqlite, { timeout: 10_000 });
    onTestFinished(() => this.#other.close());
  }

  /** Returns the journal. The first one finds the database full at {@link MOST_PAGES}. */
  journal(): Journal {
    const limit = `PRAGMA max_page_count = ${MOST_PAGES}`;
    return sqliteJournal({ sqlite: this.sqlite }, { migrations: [...MIGRATIONS, limit] });
  }

  fill(): void {
    this.#other.exec("CREATE TABLE filler (bytes)");
    const read = (pragma: string): number => Number(this.#other.prepare(`PRAGMA ${pragma}`).get()?.[pragma]);
    while (read("page_count") < MOST_PAGES || read("freelist_count") > 0)
      this.#other.exec("INSERT INTO filler VALUES (zeroblob(3000))");
  }

  free(): void {
    this.#other.exec("DROP TABLE filler");
  }
}

/** Answers each prompt with a long text; the first one only once the gate is open. */
function scene(gate: Promise<void>) {
  const asked: string[] = [];
  const fake = fakeClaude(async (turn) => {
    asked.push(turn.prompt);
    if (asked.length === 1) await gate;
    for (const part of ["1", "2", "3"]) {
      await turn.text(`${part} `.repeat(3_000));
      await turn.toolUse("Read", { file_path: `/${part}` }, { result: part.repeat(5_000) });
    }
    await turn.text(turn.prompt);
  });
  return { asked, fake, file: new SmallFile() };
}

/** Returns the numbers and the types of events. */
function numbered(events: readonly SessionEvent[]): string[] {
  return events.flatMap(({ number, type }) => (number === undefined ? [] : `${number} ${type}`));
}

test("a full SQLite file: jobs of a pool wait and run once each, and a caller gets a typed error", async () => {
  const name = unique("pool");
  const gate = Promise.withResolvers<void>();
  const { asked, fake, file } = scene(gate.promise);
  const first = await run({ fake, journal: file.journal() }, [pool(name, { size: 2 })]);
  const jobs = first.pool(name);
  const prompts = ["a", "b", "c", "d", "e", "f"].map((one) => one.repeat(5_000));
  const running = await jobs.enqueue(prompts[0] ?? "");
  await fake.prompted(1);
  file.fill();
  const x = "x".repeat(50_000);
  const refused = await failure(jobs.enqueue(x, { idempotencyKey: "x" }), "JOURNAL_UNAVAILABLE");
  expect(refused.details).toEqual({ reason: "no_space", applied: false });
  // A member is about to take a job when the disk is full.
  file.free();
  const rest = prompts.slice(1).map((prompt) => jobs.enqueue(prompt));
  await rest[0];
  file.fill();
  gate.resolve();
  await eventually(() => first.inspect().journal.fault !== undefined);
  file.free();
  const ids = [running, ...(await Promise.all(rest))];
  const ends = await Promise.all(ids.map(async (id) => (await (await jobs.turn(id))?.result())?.text));
  expect(ends).toEqual(prompts);
  expect(asked.toSorted()).toEqual(prompts);
  expect(await jobs.enqueue(x, { idempotencyKey: "x" })).not.toBe("");
  await eventually(() => asked.length === prompts.length + 1);
  await first.stop();
  expectNothingLeft(fake);
});

test("a full SQLite file: a session's events are written in order once there is space, and a reader sees each once", async () => {
  const name = unique();
  const gate = Promise.withResolvers<void>();
  const { fake, file } = scene(gate.promise);
  const first = await run({ fake, journal: file.journal() }, [{ name }, { name: `${name}-unread` }]);
  const [read, unread] = [first.session(name), first.session(`${name}-unread`)];
  const seen: SessionEvent[] = [];
  const reading = (async () => {
    for await (const event of read.events({ after: 0 })) seen.push(event);
  })();
  const turns = [read.stream("a"), unread.stream("b")];
  await fake.prompted(1);
  file.fill();
  gate.resolve();
  await eventually(() => first.inspect().journal.fault !== undefined);
  const refused = await failure(read.enqueue("x".repeat(50_000)), "JOURNAL_UNAVAILABLE");
  expect(refused.details).toEqual({ reason: "no_space", applied: false });
  file.free();
  expect((await Promise.all(turns.map((turn) => turn.result()))).map(({ text }) => text)).toEqual(["a", "b"]);
  await first.stop();
  await reading;
  expectNothingLeft(fake);
  const second = await run({ fake, journal: file.journal() }, [{ name }, { name: `${name}-unread` }]);
  const kept = await collect(second.session(name).events({ after: 0, live: false }));
  expect(numbered(kept).slice(0, numbered(seen).length)).toEqual(numbered(seen));
  for (const key of [name, `${name}-unread`]) {
    const events = await collect(second.session(key).events({ after: 0, live: false }));
    expect(events.map(({ number }) => number)).toEqual(events.map((_, index) => index + 1));
    expect(events.map(({ type }) => type)).not.toContain("lost");
    const ofTurn = events.filter((event) => "turnId" in event && event.turnId !== undefined).map(({ type }) => type);
    expect(ofTurn.filter((type) => type === "text")).toHaveLength(4);
    expect([ofTurn[0], ofTurn[1], ofTurn.at(-1)]).toEqual(["turn_accepted", "turn_started", "turn_ended"]);
  }
  await second.stop();
});
