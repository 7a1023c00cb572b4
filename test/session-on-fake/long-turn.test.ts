import { expect, test } from "vitest";
import { stream } from "../../src/castellan.ts";
import { readUI } from "../session/ui-messages.ts";
import { collect, failure, Scene } from "./scene.ts";

test("Turn: drops the first messages of a very long turn, and a late page gets its output from the record", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      // Thousand-line writes, as a fast process makes them.
      const piece = `${JSON.stringify({ type: "system", subtype: "tick", session_id: turn.process.sessionId, uuid: "u" })}\n`;
      for (let n = 0; n < 132; n++) await turn.raw(Buffer.from(piece.repeat(1_000)));
      await turn.text("the end");
    },
  });
  const turn = stream(scene.name, "go");
  let seen = 0;
  const reader = (async () => {
    for await (const _ of turn) seen += 1;
  })();
  expect((await turn.result()).text).toBe("the end");
  // A reader from the start misses nothing.
  await reader;
  expect(seen).toBeGreaterThan(132_000);
  const error = await failure(collect(turn.messages()), "EVENTS_LOST");
  const { oldest } = error.details;
  expect(oldest).toBeGreaterThan(0);
  const kept = await collect(turn.messages(oldest));
  expect(kept).toHaveLength(seen - oldest);
  expect(kept.at(-1)?.message.type).toBe("result");
  const page = await turn.toResponse().text();
  expect(page.match(/^event: \w+|^data: .+"the end"/gm)).toEqual([
    "event: text",
    'data: {"text":"the end"',
    "event: result",
    'data: {"text":"the end"',
  ]);
  const { message, errors } = await readUI(turn.toUIMessageStreamResponse());
  expect(errors).toEqual([]);
  expect(message?.parts).toMatchObject([{ type: "step-start" }, { type: "text", text: "the end" }]);
});
