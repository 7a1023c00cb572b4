import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { registry } from "../../src/application/names/registry.ts";
import { type OnceOptions, once } from "../../src/castellan.ts";
import { type FakeClaudeOptions, type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { failure, RejectionWatch, thrown } from "./scene.ts";

/** A fake Claude with options that use it. Disposal checks that no process, name or unhandled rejection is left. */
function isolatedFake(script?: FakeScript, options?: FakeClaudeOptions) {
  const watch = new RejectionWatch();
  const fake = fakeClaude(script, options);
  const own = { spawnClaudeCodeProcess: fake.spawn } satisfies OnceOptions;
  const dispose = async () => {
    await watch.end();
    expect(fake.running).toEqual([]);
    expect(fake.errors).toEqual([]);
    const { message } = await thrown(() => registry.find("anybody"), "SESSION_NOT_FOUND");
    expect(message).toContain("There are no sessions");
  };
  return { fake, own, [Symbol.asyncDispose]: dispose };
}

test("once(): runs one turn in its own process, which exits with the answer", async () => {
  await using claude = isolatedFake();
  const reply = await once("hi", { ...claude.own, model: "claude-haiku-4-5", systemPrompt: "Be brief." });
  expect(reply).toMatchObject({ text: "You said: hi", stopReason: "end_turn" });
  expect(claude.fake.processes.map(({ model, state }) => [model, state])).toEqual([["claude-haiku-4-5", "exited"]]);
});

test("once(): runs two calls in separate processes and conversations", async () => {
  await using claude = isolatedFake((turn) => turn.text(`${turn.prompt} ${turn.history.length}`));
  const replies = await Promise.all(["a", "b"].map((prompt) => once(prompt, claude.own)));
  expect(replies.map(({ text }) => text)).toEqual(["a 0", "b 0"]);
  expect(new Set(replies.map(({ sessionId }) => sessionId)).size).toBe(2);
  expect(claude.fake.processes).toHaveLength(2);
});

test("once(): rejects with the turn's error", async () => {
  await using claude = isolatedFake((turn) => turn.fail({ status: 400, message: "too much" }));
  const error = await failure(once("hi", claude.own), "TURN_FAILED");
  expect(error.details).toMatchObject({ class: "request", status: 400 });
});

test.each([true, false])("once(): a crash rejects it and starts no other process (touched: %s)", async (touched) => {
  await using claude = isolatedFake(async (turn) => {
    if (touched) await turn.partial("so far");
    await turn.crash({ code: 3 });
  });
  const error = await failure(once("hi", claude.own), "TURN_INTERRUPTED");
  expect(error.details).toMatchObject({ partialText: touched ? "so far" : "", exit: { class: "crash", code: 3 } });
  expect(claude.fake.processes).toHaveLength(1);
});

test.each<[string, FakeClaudeOptions]>([
  ["crash", { startup: (process) => process.crash({ code: 9, stderr: "no luck" }) }],
  ["bad_config", { startup: (process) => process.failStart("no directory", "cwd_unavailable") }],
])("once(): rejects with START_FAILED when the start ends as %s", async (reason, options) => {
  await using claude = isolatedFake(undefined, options);
  const error = await failure(once("hi", claude.own), "START_FAILED");
  expect(error.details.exit.class).toBe(reason);
  expect(claude.fake.processes).toHaveLength(1);
});

test("once(): rejects wrong options and an empty prompt with INVALID_OPTIONS before a turn begins", async () => {
  await using claude = isolatedFake();
  const wrong: object = { maxTurn: 5 };
  const error = await failure(once("hi", { ...claude.own, ...wrong }), "INVALID_OPTIONS");
  expect(error.details.problems.map(({ field }) => field)).toEqual(["children[0].maxTurn"]);
  await failure(once(" ", claude.own), "INVALID_OPTIONS");
  expect(claude.fake.processes.filter(({ prompts }) => prompts.length > 0)).toEqual([]);
});

test("once(): its timeout includes the start of the process", async () => {
  await using claude = isolatedFake((turn) => turn.hang());
  await failure(once("hi", { ...claude.own, timeout: 30, shutdown: "brutal_kill" }), "TURN_TIMEOUT");
  await using slow = isolatedFake(undefined, { startup: () => new Promise(() => {}) });
  await failure(once("hi", { ...slow.own, timeout: 30, shutdown: "brutal_kill" }), "TURN_TIMEOUT");
});

test("once(): its signal cancels the start and interrupts the turn, and keeps no listener", async () => {
  await using claude = isolatedFake((turn) => turn.hang());
  await failure(once("hi", { ...claude.own, signal: AbortSignal.abort() }), "TURN_CANCELLED");
  const abort = new AbortController();
  const cut = failure(once("hi", { ...claude.own, signal: abort.signal }), "TURN_INTERRUPTED");
  await claude.fake.prompted(1);
  abort.abort();
  await cut;
  expect(getEventListeners(abort.signal, "abort")).toEqual([]);
  const early = new AbortController();
  const cancelled = failure(once("hi", { ...claude.own, signal: early.signal }), "TURN_CANCELLED");
  early.abort();
  await cancelled;
});
