import { expect, test } from "vitest";
import { query, session } from "../../src/castellan.ts";
import { pool } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import type { Session } from "../../src/session/session.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { run } from "./application.ts";
import { collect, eventually, failure, Scene, thrown, ticks, unique } from "./scene.ts";

/** Returns the whole record of a session. */
async function recordOf(of: Session): Promise<SessionEvent[]> {
  return await collect(of.events({ live: false }));
}

/** The events of turns, without those about their costs. */
function ofTurns(events: readonly SessionEvent[]): SessionEvent[] {
  return events.filter(({ type }) => type.startsWith("turn_") || ["text", "tool_use", "tool_result"].includes(type));
}

/** A journal whose writes wait while `closed`. */
function gated(inner: Journal = memoryJournal()) {
  let gate: PromiseWithResolvers<void> | undefined;
  const journal: Journal = new Proxy(inner, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target);
      if (property !== "write") return typeof value === "function" ? value.bind(target) : value;
      const write: Journal["write"] = async (batch) => {
        await gate?.promise;
        await target.write(batch);
      };
      return write;
    },
  });
  const shut = (): void => {
    gate = Promise.withResolvers();
  };
  const open = (): void => gate?.resolve();
  return { journal, shut, open };
}

test("session.events(): records a turn from its acceptance to its end, numbered without gaps", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.thinking("I should look.");
      await turn.toolUse("Bash", { command: "ls" }, { result: "a b" });
      await turn.text("There are two.");
    },
  });
  const live = scene.session.events();
  const reply = await query(scene.name, "What is there?");
  const record = await recordOf(scene.session);
  expect(record.map(({ number }) => number)).toEqual(record.map((_, index) => index + 1));
  const { turnId, costUsd, usage } = reply;
  const turn = record.filter((event) => "turnId" in event && event.turnId === turnId);
  expect(turn).toMatchObject([
    { type: "turn_accepted", origin: "caller", prompt: "What is there?", promptKind: "text", v: 1 },
    { type: "turn_started", attempt: 1, promptId: expect.any(String) },
    { type: "thinking", text: "I should look." },
    { type: "tool_use", name: "Bash", input: { command: "ls" } },
    { type: "tool_result", output: "a b", failed: false },
    { type: "text", text: "There are two." },
    { type: "spent", models: [{ costUsd }] },
    { type: "turn_ended", state: "completed", costUsd, usage, stopReason: "end_turn" },
  ]);
  // The last live events are still in memory, because there is a reader.
  const read = await collect((await scene.session.turn(turnId))?.events() ?? live);
  expect(read.filter(({ number }) => number !== undefined)).toEqual(turn);
  await scene.session.stop();
  const seen = await collect(live);
  expect(seen.filter((event) => "turnId" in event && event.turnId === turnId && event.number !== undefined)).toEqual(
    turn,
  );
});

test("turn.events(): yields deltas while the turn runs, before the block that repeats them, and ends with the turn", async () => {
  const go = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await go.promise;
      await turn.partial("Hello, ");
      await turn.partial("world");
      await turn.text("!");
    },
  });
  const turn = scene.session.stream("hi");
  const events: SessionEvent[] = [];
  const reading = (async () => {
    for await (const event of turn.events()) {
      events.push(event);
      if (event.type === "turn_started") go.resolve();
    }
  })();
  await reading;
  const deltas = events.flatMap((event) => (event.type === "text_delta" ? [event] : []));
  const [text] = events.flatMap((event) => (event.type === "text" ? [event] : []));
  expect(deltas.map((delta) => delta.text).join("")).toBe("Hello, world!");
  expect(text).toMatchObject({ text: "Hello, world!", block: deltas[0]?.block });
  expect(deltas.every(({ number, after }) => number === undefined && after < (text?.number ?? 0))).toBe(true);
  expect(events.at(-1)).toMatchObject({ type: "turn_ended", state: "completed" });
});

test("session.events(): shows an event once the journal has it, and what comes after it later", async () => {
  const { journal, shut, open } = gated();
  const fake = fakeClaude();
  const name = unique();
  await using supervisor = await run({ fake, journal }, [{ name }]);
  await query(name, "one");
  await ticks(5);
  const seen: SessionEvent[] = [];
  const reading = (async () => {
    for await (const event of session(name).events()) seen.push(event);
  })();
  shut();
  const turn = session(name).stream("two");
  await ticks(20);
  expect(seen).toEqual([]);
  open();
  await turn.result();
  await supervisor.stop();
  await reading;
  expect(seen.map(({ type }) => type)).toEqual(
    expect.arrayContaining(["turn_accepted", "state", "turn_ended", "exit"]),
  );
});

test("session.events({ after }): continues in the next application where a reader of the last one was", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name }]);
  await query(name, "one");
  const before = await recordOf(session(name));
  await first.stop();
  await using second = await run(both, [{ name }]);
  await query(name, "two");
  const whole = await recordOf(second.session(name));
  expect(whole.slice(0, before.length)).toEqual(before);
  const middle = before[2]?.number ?? 0;
  expect(await collect(second.session(name).events({ after: middle, live: false }))).toEqual(whole.slice(middle));
  expect(whole.map(({ number }) => number)).toEqual(whole.map((_, index) => index + 1));
  expect(ofTurns(whole).filter(({ type }) => type === "turn_ended")).toHaveLength(2);
});

test("session.pastEvents(): pages backwards through the record", async () => {
  await using scene = await Scene.open();
  for (const prompt of ["one", "two", "three"]) await query(scene.name, prompt);
  const record = await recordOf(scene.session);
  const pages: SessionEvent[] = [];
  for (let before: number | undefined; ; ) {
    const page = await scene.session.pastEvents({ limit: 4, ...(before === undefined ? {} : { before }) });
    if (page.length === 0) break;
    expect(page.length).toBeLessThanOrEqual(4);
    pages.push(...page);
    before = page.at(-1)?.number;
  }
  expect(pages).toEqual(record.toReversed());
  const [last] = await scene.session.pastEvents({ types: ["turn_accepted"], limit: 1 });
  if (last?.type !== "turn_accepted") throw new Error("is another event");
  expect(last.prompt).toBe("three");
  const ofTurn = await scene.session.pastEvents({ turn: last.turnId });
  expect(ofTurn.map(({ type }) => type)).toEqual(["turn_ended", "spent", "text", "turn_started", "turn_accepted"]);
  await thrown(() => scene.session.pastEvents({ limit: 0 }), "INVALID_OPTIONS");
});

test("LoanedSession: shows the events of its loan only", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ children: [pool(name, { size: 1 })] });
  const first = await scene.supervisor.pool(name).checkout();
  await first.session.query("a secret");
  const own = await recordOf(first.session);
  expect(JSON.stringify(own)).toContain("a secret");
  await first.checkin();
  await using second = await scene.supervisor.pool(name).checkout();
  await second.session.query("hi");
  const seen = [
    ...(await recordOf(second.session)),
    ...(await collect(second.session.events({ after: 0, live: false }))),
    ...(await second.session.pastEvents()),
  ];
  expect(seen.length).toBeGreaterThan(10);
  expect(JSON.stringify(seen)).not.toContain("a secret");
});

test("session.events(): tells a reader that comes from an earlier life of the name", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique();
  await using supervisor = await run(both, [{ name }]);
  await query(name, "one");
  const last = (await recordOf(session(name))).length;
  await supervisor.eraseSession(name);
  await supervisor.startSession({ name });
  const events = session(name).events({ after: last, types: ["pruned", "started"] });
  expect((await events.next()).value).toMatchObject({ type: "pruned", oldest: 1 });
  expect((await events.next()).value).toMatchObject({ type: "started", number: 1 });
  await events.return();
});

test("session.content(): returns a prompt over 64 kB, which its event names", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text("read") });
  const prompt = `${"long ".repeat(20_000)}end`;
  await query(scene.name, prompt);
  const [accepted] = await collect(scene.session.events({ types: ["turn_accepted"], live: false }));
  if (accepted?.prompt === undefined || typeof accepted.prompt === "string") throw new Error("is not a reference");
  expect(accepted.prompt).toMatchObject({ size: prompt.length, mediaType: "text/plain" });
  const content = await scene.session.content(accepted.prompt);
  expect(content?.mediaType).toBe("text/plain");
  expect(Buffer.from(content?.data ?? []).toString()).toBe(prompt);
  expect(await scene.session.content({ ...accepted.prompt, $content: "0".repeat(64) })).toBeUndefined();
});

test("session.events(): tells starts after a crash, a hibernation and a restart by hand apart, and a retried turn", async () => {
  let crashes = 1;
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "crash" && crashes-- > 0) await turn.crash();
      await turn.text("ok");
    },
  });
  await query(scene.name, "crash");
  await eventually(() => scene.session.status().state === "idle");
  await scene.session.hibernate();
  await query(scene.name, "wake up");
  const record = await recordOf(scene.session);
  const types = record.flatMap((event) => {
    if (event.type === "started") return event.reason;
    if (event.type === "turn_retried") return `retried: ${event.reason}`;
    return ["exit", "hibernated", "turn_started", "turn_ended"].includes(event.type) ? event.type : [];
  });
  expect(types).toEqual([
    "start",
    "turn_started",
    "exit",
    "retried: process_ended",
    "restart",
    "turn_started",
    "turn_ended",
    "exit",
    "hibernated",
    "wake",
    "turn_started",
    "turn_ended",
  ]);
});

test("session.events(): keeps what a cut turn had shown of an unfinished block", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("half an ans");
      await turn.crash();
    },
  });
  const turn = scene.session.stream("hi");
  await failure(turn.result(), "TURN_INTERRUPTED");
  expect(ofTurns(await collect(turn.events())).slice(2)).toMatchObject([
    { type: "text", text: "half an ans", cut: true },
    { type: "turn_ended", state: "interrupted", error: { code: "TURN_INTERRUPTED" } },
  ]);
});

test("session.events(): a restart ends a turn of Claude Code's own that the death of the application cut, also one during which many waiting turns were cancelled", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name }]);
  await query(name, "one");
  const begun = Promise.withResolvers<void>();
  const own: FakeScript = async (turn) => {
    await turn.text("I saw it.");
    begun.resolve();
    await turn.hang();
  };
  both.fake.processes[0]?.beginTurn(own);
  await begun.promise;
  await eventually(() => first.session(name).status().turn?.origin === "task");
  const waiting = Array.from({ length: 20 }, (_, index) => session(name).stream(`wait ${index}`));
  await eventually(() => waiting.every(({ state }) => state === "queued"));
  for (const turn of waiting) await turn.interrupt();
  await ticks(5);
  const written = await recordOf(session(name));
  // As if the application had died here: its later writes are lost.
  const journal = memoryJournal();
  await journal.open({ id: "copy", pid: 1, host: "here", startedAt: 0 });
  for (const [index, event] of (await both.journal.events({ session: `"${name}"`, limit: 1_000 })).entries()) {
    await journal.write({ number: index + 1, changes: [{ type: "event_appended", event }], durable: false });
  }
  await journal.close();
  await first.stop();
  await using second = await run({ fake: both.fake, journal }, [{ name, activation: "lazy" }]);
  const record = await recordOf(second.session(name));
  expect(record.slice(0, written.length)).toEqual(written);
  expect(record.slice(written.length)).toMatchObject([
    { type: "turn_ended", state: "interrupted", error: { code: "TURN_INTERRUPTED" } },
  ]);
});

test("turn.events(): fails with the error of a turn that was not accepted, and ends with one that never ran", async () => {
  const go = Promise.withResolvers<void>();
  await using scene = await Scene.open({ script: async (turn) => void (await go.promise.then(() => turn.text("ok"))) });
  const running = scene.session.stream("one");
  const waiting = scene.session.stream("two");
  const events = collect(waiting.events());
  await eventually(() => waiting.state === "queued");
  await waiting.interrupt();
  expect((await events).map(({ type }) => type)).toEqual(["turn_accepted", "turn_ended"]);
  const broken = gated();
  const other = unique();
  const second = await run({ fake: fakeClaude(), journal: broken.journal }, [{ name: other }], { name: unique() });
  await ticks(5);
  broken.shut();
  const refused = session(other).stream("hi");
  const stopped = second.stop({ kill: true });
  await failure(collect(refused.events()), "SUPERVISOR_STOPPED");
  broken.open();
  await stopped;
  go.resolve();
  await running.result();
});

test("session.events(): rejects options that it does not know", async () => {
  await using scene = await Scene.open();
  const wrong = async (options: object) => await thrown(() => scene.session.events(options), "INVALID_OPTIONS");
  expect((await wrong({ after: -1 })).details.problems).toMatchObject([{ field: "after" }]);
  expect((await wrong({ types: ["turn_began"] })).details.problems).toMatchObject([{ field: "types.0" }]);
  expect((await wrong({ since: 3 })).details.problems).toMatchObject([{ field: "since" }]);
});
