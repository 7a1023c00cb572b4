import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { collect, eventually, failure, Scene, within } from "./scene.ts";

test.each([
  [400, "request"],
  [413, "request"],
  [500, "overload"],
  [529, "overload"],
] as const)("TURN_FAILED: status %i of the API has the class %s", async (status, expected) => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    script: async (turn) => {
      if (turn.index > 0) return turn.text("fine");
      await turn.partial("I was about to");
      await turn.fail({ status });
    },
  });
  const turn = stream(scene.name, "hi");
  const error = await failure(turn.result(), "TURN_FAILED");
  expect(error.details).toMatchObject({ class: expected, status, turnId: turn.id });
  expect(error.details.partialText).toBe("I was about to");
  await failure(collect(turn), "TURN_FAILED");
  expect(turn.state).toBe("failed");
  // The process is kept, unless a refused first turn needs an empty conversation.
  expect((await within(clock, query(scene.name, "again"))).text).toBe("fine");
  expect(scene.fake.processes).toHaveLength(expected === "request" ? 2 : 1);
  expect(scene.session.status().restarts).toBe(0);
});

test.each([
  ["nothing", "", false],
  ["a piece", "I was about to", true],
  ["a whole message", "I was about to", false],
] as const)("turn.text(): leaves out the error's words after the turn has shown %s", async (_, shown, partial) => {
  const text = "API Error: 500 boom";
  await using scene = await Scene.open({
    script: async (turn) => {
      if (partial) await turn.partial(shown);
      else if (shown !== "") await turn.text(shown);
      await turn.fail({ status: 500, text });
    },
  });
  const turn = stream(scene.name, "hi");
  const pieces: string[] = [];
  const read = async (): Promise<void> => {
    for await (const piece of turn.text()) pieces.push(piece);
  };
  const error = await failure(read(), "TURN_FAILED");
  expect(error.message).toContain(text);
  expect([pieces.join(""), error.details.partialText]).toEqual([shown, shown]);
  const events = (await turn.toResponse({ view: "operator" }).text())
    .split("\n\n")
    .filter((event) => event.includes(text));
  expect(events).toEqual([expect.stringMatching(/^event: error\n/)]);
  const chunks = (await turn.toUIMessageStreamResponse({ view: "operator" }).text())
    .split("\n\n")
    .filter((chunk) => chunk.includes(text));
  expect(chunks).toEqual([expect.stringContaining('"type":"error"')]);
});

test("Turn: a prompt whose key was refused stands in the conversation once when it is asked again", async () => {
  const script: FakeScript = async (turn) => {
    if (turn.prompt === "two" && turn.index === 1) await turn.fail({ status: 401 });
    else await turn.text(turn.history.map(({ text }) => text).join(" | "));
  };
  await using scene = await Scene.open({ script });
  const { name } = scene;
  await query(name, "one");
  await failure(query(name, "two"), "TURN_FAILED");
  await eventually(() => scene.session.status().state === "quarantined");
  await scene.supervisor.restartSession(name);
  const { text } = await query(name, "two");
  expect(text.match(/two/g) ?? []).toEqual([]);
  expect(text).toMatch(/^one \|/);
});

test('TURN_FAILED: has the class "overload" when the API is unreachable', async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock, script: (turn) => turn.fail({}) });
  const error = await failure(query(scene.name, "hi"), "TURN_FAILED");
  expect(error.details.class).toBe("overload");
  expect(error.details.status).toBeUndefined();
});

test('TURN_FAILED: a refused key has the class "auth" and quarantines the session', async () => {
  await using scene = await Scene.open({ script: (turn) => turn.fail({ status: 401 }) });
  const error = await failure(query(scene.name, "hi"), "TURN_FAILED");
  expect(error.details).toMatchObject({ class: "auth" });
  const refused = await failure(query(scene.name, "again"), "SESSION_QUARANTINED");
  expect(refused.details.lastExits.at(-1)?.class).toBe("auth");
});

test.each([
  ["error_max_turns", "maxTurns"],
  ["error_max_budget_usd", "maxBudgetUsd"],
  ["error_max_structured_output_retries", "outputFormat"],
] as const)('TURN_FAILED: %s has the class "turn" and names %s', async (subtype, option) => {
  await using scene = await Scene.open({
    script: (turn) => (turn.index === 0 ? turn.result({ subtype }) : turn.text("fine")),
  });
  const error = await failure(query(scene.name, "hi"), "TURN_FAILED");
  expect(error.details.class).toBe("turn");
  expect(error.message).toContain(option);
  expect((await query(scene.name, "again")).text).toBe("fine");
});

test("TURN_FAILED: contains Claude Code's words for an error during execution", async () => {
  await using scene = await Scene.open({
    script: (turn) =>
      turn.result({ subtype: "error_during_execution", terminalReason: "model_error", errors: ["the sky fell"] }),
  });
  const error = await failure(query(scene.name, "hi"), "TURN_FAILED");
  expect(error.message).toContain("the sky fell");
});
