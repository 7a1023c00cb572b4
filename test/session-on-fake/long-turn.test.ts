import { expect, test } from "vitest";
import { stream } from "../../src/castellan.ts";
import { collect, failure, Scene } from "./scene.ts";

test("of a very long turn the first messages are let go, and a reader that wants them is told so", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      // One write of a thousand lines each, as a fast process would make them.
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
  // Who reads along misses nothing.
  await reader;
  expect(seen).toBeGreaterThan(132_000);
  const error = await failure(collect(turn.messages()), "EVENTS_LOST");
  const { oldest } = error.details;
  expect(oldest).toBeGreaterThan(0);
  const kept = await collect(turn.messages(oldest));
  expect(kept).toHaveLength(seen - oldest);
  expect(kept.at(-1)?.message.type).toBe("result");
  // And a page that connects late gets an error event, not a silent gap.
  const page = await turn.toResponse().text();
  expect(page).toContain("EVENTS_LOST");
});
