import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { collect, eventually, failure, Scene } from "../session-on-fake/scene.ts";

/** A message of a type that only a future release of Claude Code has. */
const NOVEL = { type: "brand_new", subtype: "thing", payload: [1, { deep: true }] };

test("a stream whose process exits with code 0 before its result: rejects in every form, also for late readers", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.toolUse("Write", { file_path: "/tmp/x" }, { result: "written" });
      await turn.partial("almost do");
      await turn.exit(0);
    },
  });
  const turn = stream(scene.name, "go");
  const read = async (): Promise<void> => {
    const forms = [turn, turn.messages(), turn.text(), turn.thinking(), turn.deltas(), turn.toolUses()];
    await Promise.all(forms.map((form) => failure(collect<unknown>(form), "TURN_INTERRUPTED")));
    const page = await turn.toResponse().text();
    expect(page).toContain("TURN_INTERRUPTED");
    expect(page).not.toMatch(/^event: result$/m);
  };
  await read();
  await read();
  expect(turn.state).toBe("interrupted");
});

test("a message of an unknown type during a turn: reaches the turn's readers unchanged", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.emit(NOVEL);
      await turn.text("fine");
    },
  });
  const messages = await collect(stream(scene.name, "go"));
  expect(messages).toContainEqual(expect.objectContaining(NOVEL));
});

test("a message of an unknown type between turns: becomes an event of the session", async () => {
  await using scene = await Scene.open();
  const events: SessionEvent[] = [];
  const reading = (async (): Promise<void> => {
    for await (const event of scene.session.events()) events.push(event);
  })();
  const [process] = scene.fake.processes;
  const message = { ...NOVEL, session_id: process?.sessionId, uuid: randomUUID() };
  process?.write(`${JSON.stringify(message)}\n`);
  await eventually(() => events.length > 0);
  expect(events).toMatchObject([{ type: "message", message }]);
  expect((await query(scene.name, "hi")).text).toBe("You said: hi");
  await scene.session.stop();
  await reading;
});
