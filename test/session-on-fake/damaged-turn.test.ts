import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { nameKey } from "../../src/names.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { run } from "./application.ts";
import { collect, failure, ticks, unique } from "./scene.ts";

/** Flips a bit in the row of events of this type. SQLite does not notice. */
function damage(sqlite: string, type: string): void {
  const database = new DatabaseSync(sqlite);
  const changed = database
    .prepare("UPDATE events SET body = replace(body, '\"v\":1', '\"v\":9') WHERE body LIKE ?")
    .run(`%,"${type}",%`);
  database.close();
  expect(changed.changes).toBeGreaterThan(0);
}

/** The parts of the turn's history without the events of a type, and those that share their row. */
const HISTORY: Readonly<Record<string, readonly string[]>> = {
  turn_accepted: ["lost", "text", "tool", "text"],
  tool_use: ["lost", "text"],
  tool_result: ["text", "tool", "lost", "text"],
  turn_ended: ["text", "tool", "lost"],
};

test.each([
  ["turn_accepted", ["lost", "text", "tool_use", "text", "result"]],
  ["tool_use", ["lost", "text", "result"]],
  ["tool_result", ["text", "tool_use", "lost", "text", "result"]],
  ["turn_ended", ["text", "tool_use", "text", "result"]],
])(
  "turn.toResponse(): sends `lost`, or the outcome, in place of damaged events, and the turn keeps its result: %s",
  async (type, expected) => {
    const sqlite = `${newFolder()}/castellan.db`;
    const name = unique();
    const journal = sqliteJournal({ sqlite });
    const fake = fakeClaude(async (turn) => {
      await turn.text("first. ");
      await turn.toolUse("Read", { file_path: "/x" });
      // Until the journal has the result of the tool, so that each part has a row of its own.
      const types = ["tool_result"];
      while ((await journal.events({ session: nameKey(name), types, limit: 1 })).length === 0) await ticks(1);
      await turn.text("last.");
    });
    const first = await run({ fake, journal }, [{ name }]);
    // A reader, so that no event waits for later ones.
    const reader = first.session(name).events();
    const { turnId, text } = await first.session(name).query("go");
    await reader.return();
    await first.stop();
    damage(sqlite, type);

    const second = await run({ fake, journal: sqliteJournal({ sqlite }) }, [{ name }]);
    const session = second.session(name);
    const turn = await session.turn(turnId);
    expect(await turn?.result()).toMatchObject({ text });
    expect(await session.turns()).toMatchObject([{ id: turnId, state: "completed" }]);
    const page = (await turn?.toResponse().text()) ?? "";
    expect(page.match(/(?<=event: ).*/g)).toEqual(expected);
    const chat = (await turn?.toUIMessageStreamResponse().text()) ?? "";
    expect(chat.includes("data-lost")).toBe(expected.includes("lost"));
    const words = (async () => (turn === undefined ? "" : (await collect(turn.text())).join("")))();
    if (expected.includes("lost")) await failure(words, "EVENTS_LOST");
    else expect(await words).toBe("first. last.");
    const { entries } = await session.history();
    const past = entries.find((entry) => entry.type === "turn");
    expect(past).toMatchObject({ id: turnId, state: "completed", prompt: "go" });
    const parts = past?.parts.map((part) => (part.type === "missing" ? "lost" : part.type));
    expect(parts).toEqual(HISTORY[type]);
    // Nothing in the record contradicts the result.
    const ends = await collect(session.events({ types: ["turn_ended"], live: false }));
    expect(ends).toMatchObject(type === "turn_ended" ? [] : [{ turnId, state: "completed" }]);
    await second.stop();
  },
);
