import type { HookCallback } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { stream } from "../../src/castellan.ts";
import { CastellanError } from "../../src/errors.ts";
import { pool } from "../../src/index.ts";
import type { EventQuery } from "../../src/journal/model/event-entry.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import type { SessionOptions } from "../../src/session/options/options.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import type { Turn } from "../../src/session/streams/turn.ts";
import { type FakeScript, type FakeTurn, fakeClaude } from "../../src/testing/index.ts";
import { image } from "../session/prompt-contents.ts";
import { SetClock } from "../set-clock.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { CrashingJournal } from "./crashing-journal.ts";
import { eventually, failure, Scene, unique, within } from "./scene.ts";

/** A turn with a tool that runs until `release`, and a text that is incomplete until `finish`. */
class Work {
  readonly #gate = Promise.withResolvers<void>();
  readonly #end = Promise.withResolvers<void>();
  /** The prompts of the turns that the model has begun. */
  readonly begun: string[] = [];
  readonly tool = Promise.withResolvers<void>();
  readonly release: () => void = this.#gate.resolve;
  readonly finish: () => void = this.#end.resolve;

  readonly script: FakeScript = async (turn: FakeTurn) => {
    this.begun.push(turn.prompt);
    if (turn.prompt.startsWith("use")) await turn.toolUse("Bash", { command: "ls" });
    if (turn.prompt.startsWith("write")) {
      await turn.partial("some text");
      await this.#end.promise;
      return await turn.text("");
    }
    await turn.text([turn.prompt, ...turn.joined].join(" + "));
  };

  get session(): Pick<SessionOptions, "hooks"> {
    const hook: HookCallback = async () => {
      this.tool.resolve();
      await this.#gate.promise;
      return {};
    };
    return { hooks: { PreToolUse: [{ hooks: [hook] }] } };
  }
}

/** Returns what a turn's events tell about its messages, attempts and end. */
async function told(turn: Turn | undefined): Promise<SessionEvent[]> {
  const wanted = ["steered", "steer_settled", "turn_retried", "turn_ended"];
  const events: SessionEvent[] = [];
  for await (const event of turn?.events() ?? []) if (wanted.includes(event.type)) events.push(event);
  return events;
}

test("turn.steer(): gives messages to the running turn with the result of its tool, and records that they were read", async () => {
  const work = new Work();
  await using scene = await Scene.open({ script: work.script, session: work.session });
  const turn = stream(scene.name, "use a tool");
  await work.tool.promise;
  expect(await turn.steer("be brief", { by: "ann" })).toBe(turn);
  expect(await turn.steer("and kind")).toBe(turn);
  await eventually(() => scene.fake.processes[0]?.prompts.length === 3);
  work.release();
  expect((await turn.result()).text).toBe("use a tool + be brief + and kind");
  const events = await told(turn);
  const [first, second] = events;
  expect(events).toMatchObject([
    { type: "steered", turnId: turn.id, text: "be brief", by: "ann" },
    { type: "steered", turnId: turn.id, text: "and kind" },
    { type: "steer_settled", id: first?.type === "steered" ? first.id : "", outcome: "read" },
    { type: "steer_settled", id: second?.type === "steered" ? second.id : "", outcome: "read" },
    { type: "turn_ended", state: "completed" },
  ]);
  expect(scene.session.status()).toMatchObject({ state: "idle", mailbox: 0 });
});

test("turn.steer(): continues a turn that ends before the message is read, and adds up the costs", async () => {
  const work = new Work();
  await using scene = await Scene.open({ script: work.script });
  const turn = stream(scene.name, "write");
  const next = stream(scene.name, "next");
  await eventually(() => work.begun.length === 1);
  await turn.steer("more");
  await eventually(() => scene.fake.processes[0]?.prompts.length === 2);
  work.finish();
  const reply = await turn.result();
  expect(reply).toMatchObject({ text: "more", turnId: turn.id });
  expect(reply.costUsd).toBeCloseTo(0.02);
  expect(reply.models).toHaveLength(1);
  expect((await next.result()).text).toBe("next");
  expect(work.begun).toEqual(["write", "more", "next"]);
  expect(await told(turn)).toMatchObject([
    { type: "steered" },
    { type: "steer_settled", outcome: "read" },
    { type: "turn_ended", state: "completed" },
  ]);
});

test("turn.steer(): appends a message to the prompt of a turn that waits", async () => {
  const work = new Work();
  await using scene = await Scene.open({ script: work.script, session: work.session });
  const running = stream(scene.name, "use a tool");
  await work.tool.promise;
  const waiting = stream(scene.name, "next");
  await waiting.steer("first");
  await waiting.steer("second");
  work.release();
  await running.result();
  expect((await waiting.result()).text).toBe("next\n\nfirst\n\nsecond");
  expect((await told(waiting)).map(({ type }) => type)).toEqual([
    ...["steered", "steered", "steer_settled", "steer_settled", "turn_ended"],
  ]);
});

test("turn.steer(): refuses a message to an ended turn, or makes it a turn of its own", async () => {
  await using scene = await Scene.open();
  const turn = stream(scene.name, "hi");
  await turn.result();
  const error = await failure(turn.steer("more"), "STEER_REFUSED");
  expect(error.details).toEqual({ turnId: turn.id, reason: "ended" });
  const next = await turn.steer("more", { afterEnd: "enqueue" });
  expect(next.id).not.toBe(turn.id);
  expect((await next.result()).text).toContain("more");
  const recalled = await scene.session.turn(turn.id);
  expect((await failure(recalled?.steer("more") ?? Promise.resolve(), "STEER_REFUSED")).details.reason).toBe("ended");
});

test.each([
  ["text", " ", {}],
  ["text", 7 as unknown as string, {}],
  ["by", "more", { by: "" }],
  ["afterEnd", "more", { afterEnd: "later" as "enqueue" }],
])("turn.steer(): rejects an invalid %s", async (field, text, options) => {
  const work = new Work();
  await using scene = await Scene.open({ script: work.script, session: work.session });
  const turn = stream(scene.name, "use a tool");
  await work.tool.promise;
  const error = await failure(turn.steer(text, options), "INVALID_OPTIONS");
  expect(error.details.problems.map((problem) => problem.field)).toEqual([field]);
  work.release();
  expect((await turn.result()).text).toBe("use a tool");
});

test('whenBusy: "steer": gives a text to the running turn and returns it, and enqueues everything else', async () => {
  const work = new Work();
  const session = { ...work.session, whenBusy: "steer" } as const;
  await using scene = await Scene.open({ script: work.script, session });
  const turn = stream(scene.name, "use a tool");
  await work.tool.promise;
  expect(stream(scene.name, "be brief").id).toBe(turn.id);
  expect(await scene.session.enqueue("be kind")).toBe(turn.id);
  const keyed = await scene.session.enqueue("keyed", { idempotencyKey: "k" });
  const blocks = stream(scene.name, [{ type: "text", text: "blocks" }]);
  const asked = stream(scene.name, "asked", { whenBusy: "enqueue" });
  expect(new Set([turn.id, keyed, blocks.id, asked.id]).size).toBe(4);
  await failure((async () => stream(scene.name, ""))(), "INVALID_OPTIONS");
  await eventually(() => scene.fake.processes[0]?.prompts.length === 3);
  work.release();
  expect((await turn.result()).text).toBe("use a tool + be brief + be kind");
  await asked.result();
  expect(work.begun).toEqual(["use a tool", "keyed", "blocks", "asked"]);
  expect((await stream(scene.name, "idle").result()).text).toBe("idle");
});

test('whenBusy: "steer": is rejected in pools', async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ children: [pool(name, { size: 1 })] });
  const lent = scene.supervisor.pool(name);
  const { details } = await failure((async () => lent.stream("hi", { whenBusy: "steer" }))(), "INVALID_OPTIONS");
  expect(details.problems.map(({ field }) => field)).toEqual(["whenBusy"]);
});

test("turn.steer(): accepts a hundred messages", async () => {
  const work = new Work();
  await using scene = await Scene.open({ script: work.script, session: work.session });
  const turn = stream(scene.name, "use a tool");
  await work.tool.promise;
  await Promise.all(Array.from({ length: 100 }, async (_, index) => await turn.steer(`${index}`)));
  expect((await failure(turn.steer("one more"), "STEER_REFUSED")).details.reason).toBe("too_many");
  await eventually(() => scene.fake.processes[0]?.prompts.length === 101);
  work.release();
  expect((await turn.result()).text).toMatch(/ \+ 99$/);
});

test.each(["interrupt", "timeout", "session.stop", "crash"])(
  "turn.steer(): leaves a message unread that the model has not got before %s, and no later turn gets it",
  async (how) => {
    const clock = new SimulatedClock();
    const work = new Work();
    const session = { ...work.session, onInterruptedTurn: "fail" } as const;
    await using scene = await Scene.open({ clock, script: work.script, session });
    const turn = stream(scene.name, "use a tool", how === "timeout" ? { timeout: "1m" } : {});
    await work.tool.promise;
    await turn.steer("more");
    await eventually(() => scene.fake.processes[0]?.prompts.length === 2);
    if (how === "interrupt") void turn.interrupt();
    if (how === "timeout") await clock.advance(60_000);
    if (how === "session.stop") void scene.session.stop();
    if (how === "crash") scene.fake.processes[0]?.crash({ signal: "SIGKILL" });
    await within(
      clock,
      turn.result().catch(() => {}),
    );
    expect(await told(turn)).toMatchObject([
      { type: "steered" },
      { type: "steer_settled", outcome: "unread" },
      { type: "turn_ended" },
    ]);
    work.release();
    if (how === "session.stop") return;
    expect((await failure(turn.steer("again"), "STEER_REFUSED")).details.reason).toBe("ended");
    expect((await within(clock, stream(scene.name, "next").result())).text).toBe("next");
    expect(work.begun).toEqual(["use a tool", "next"]);
  },
);

test("turn.steer(): repeats the messages when the turn runs again after a crash", async () => {
  const work = new Work();
  const session = { ...work.session, onInterruptedTurn: "retry" } as const;
  await using scene = await Scene.open({ script: work.script, session });
  const turn = stream(scene.name, "use a tool");
  await work.tool.promise;
  await turn.steer("more");
  await eventually(() => scene.fake.processes[0]?.prompts.length === 2);
  scene.fake.processes[0]?.crash({ signal: "SIGKILL" });
  work.release();
  expect((await turn.result()).text).toBe("use a tool\n\nmore");
  expect(await told(turn)).toMatchObject([
    { type: "steered", text: "more" },
    { type: "turn_retried" },
    { type: "steer_settled", outcome: "read" },
    { type: "turn_ended", state: "completed" },
  ]);
});

test.each(["running", "waiting"])(
  "turn.steer(): a %s turn has its messages after a kill of the application",
  async (state) => {
    const [clock, work, name] = [new SimulatedClock(), new Work(), unique()];
    const [fake, crashing] = [fakeClaude(work.script), new CrashingJournal()];
    const children = [{ name, ...work.session, onInterruptedTurn: "retry" }] as const;
    const first = await run({ fake, journal: crashing.journal, clock }, children);
    const running = await first.session(name).enqueue("use a tool");
    await work.tool.promise;
    const id = state === "running" ? running : await first.session(name).enqueue("next");
    const long = "x".repeat(70_000);
    await (await first.session(name).turn(id))?.steer("more");
    await (await first.session(name).turn(id))?.steer(long);
    crashing.crash();
    await within(clock, first.stop({ kill: true }));
    work.release();
    await using second = await run({ fake, journal: await crashing.left(), clock }, children);
    const turn = await second.session(name).turn(id);
    expect((await turn?.result())?.text).toBe(`${state === "running" ? "use a tool" : "next"}\n\nmore\n\n${long}`);
  },
);

test("turn.steer(): a turn of content blocks has its message after a kill of the application and a crash", async () => {
  const [clock, crashing, name] = [new SimulatedClock(), new CrashingJournal(), unique()];
  const stuck = fakeClaude((turn) => turn.hang());
  const first = await run({ fake: stuck, journal: crashing.journal, clock }, [{ name }]);
  await first.session(name).enqueue("first");
  await stuck.prompted(1);
  const id = await first.session(name).enqueue([image, { type: "text", text: "look" }]);
  await (await first.session(name).turn(id))?.steer("more");
  crashing.crash();
  await within(clock, first.stop({ kill: true }));

  const sent: unknown[] = [];
  const fake = fakeClaude(async (turn) => {
    sent.push(turn.message.message.content);
    if (sent.length === 2) await turn.crash();
    await turn.text("seen");
  });
  await using second = await run({ fake, journal: await crashing.left(), clock }, [{ name }]);
  expect((await (await second.session(name).turn(id))?.result())?.text).toBe("seen");
  const whole = [image, { type: "text", text: "look" }, { type: "text", text: "more" }];
  expect(sent).toEqual(["first", whole, whole]);
});

test.each([0, -3_600_000])(
  "turn.steer(): waiting turns have their messages after a kill of the application, if the time of day moved by %i ms",
  async (movedMs) => {
    const [clock, crashing, name] = [new SetClock(), new CrashingJournal(), unique()];
    const stuck = fakeClaude((turn) => turn.hang());
    const first = await run({ fake: stuck, journal: crashing.journal, clock }, [{ name }]);
    await first.session(name).enqueue("first");
    await stuck.prompted(1);
    const ids: string[] = [];
    for (const prompt of ["a", "b", "c"]) {
      const id = await first.session(name).enqueue(prompt);
      await (await first.session(name).turn(id))?.steer(`more of ${prompt}`);
      ids.push(id);
      clock.set(movedMs);
    }
    crashing.crash();
    await within(clock, first.stop({ kill: true }));
    await using second = await run({ fake: fakeClaude(), journal: await crashing.left(), clock }, [{ name }]);
    const replies = await Promise.all(ids.map(async (id) => (await second.session(name).turn(id))?.result()));
    const said = ["a", "b", "c"].map((prompt) => `You said: ${prompt}\n\nmore of ${prompt}`);
    expect(replies.map((reply) => reply?.text)).toEqual(said);
  },
);

test("turn.steer(): a damaged message to one turn takes none from the others", async () => {
  const [clock, crashing, name] = [new SimulatedClock(), new CrashingJournal(), unique()];
  const stuck = fakeClaude((turn) => turn.hang());
  const first = await run({ fake: stuck, journal: crashing.journal, clock }, [{ name }]);
  await first.session(name).enqueue("first");
  await stuck.prompted(1);
  const [damaged, whole] = [await first.session(name).enqueue("a"), await first.session(name).enqueue("b")];
  for (const id of [damaged, whole]) await (await first.session(name).turn(id))?.steer("more");
  crashing.crash();
  await within(clock, first.stop({ kill: true }));
  const journal = damagedIn(await crashing.left(), ({ turn }) => turn === undefined || turn === damaged);
  await using second = await run({ fake: fakeClaude(), journal, clock }, [{ name }]);
  expect((await (await second.session(name).turn(damaged))?.result())?.text).toBe("You said: a");
  expect((await (await second.session(name).turn(whole))?.result())?.text).toBe("You said: b\n\nmore");
});

/** Returns the journal, in which those questions for messages to turns meet a damaged event. */
function damagedIn(left: Journal, meets: (query: EventQuery) => boolean): Journal {
  return new Proxy(left, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target);
      if (property !== "events") return typeof value === "function" ? value.bind(target) : value;
      const events: Journal["events"] = async (query) => {
        const isDamaged = query.types?.includes("steered") === true && meets(query);
        if (isDamaged) throw new CastellanError("JOURNAL_UNAVAILABLE", "damaged", { details: { reason: "damaged" } });
        return await target.events(query);
      };
      return events;
    },
  });
}

test("turn.steer(): a damaged message in the record keeps no session from starting", async () => {
  const [clock, crashing, name] = [new SimulatedClock(), new CrashingJournal(), unique()];
  const stuck = fakeClaude((turn) => turn.hang());
  const first = await run({ fake: stuck, journal: crashing.journal, clock }, [{ name }]);
  const id = await first.session(name).enqueue("first");
  await stuck.prompted(1);
  await (await first.session(name).turn(id))?.steer("more");
  crashing.crash();
  await within(clock, first.stop({ kill: true }));

  const journal = damagedIn(await crashing.left(), () => true);
  await using second = await run({ fake: fakeClaude(), journal, clock }, [{ name }]);
  expect((await (await second.session(name).turn(id))?.result())?.text).toBe("You said: first");
});

test("turn.steer(): reaches the turn of a pool once a member has it", async () => {
  const [work, name] = [new Work(), unique("pool")];
  await using scene = await Scene.open({ script: work.script, children: [pool(name, { size: 1, ...work.session })] });
  const turns = ["use a tool", "next"].map((prompt) => scene.supervisor.pool(name).stream(prompt));
  await work.tool.promise;
  const steered = turns.map(async (turn) => await turn.steer("more").catch((error: unknown) => error));
  await steered[0];
  await failure(turns[0]?.steer("more", { afterEnd: "enqueue" }) ?? Promise.resolve(), "INVALID_OPTIONS");
  await eventually(() => scene.fake.processes[0]?.prompts.length === 2);
  work.release();
  expect((await turns[0]?.result())?.text).toBe("use a tool + more");
  expect((await turns[1]?.result())?.text).toContain("next");
});

test("turn.steer(): gives no message of a former borrower to a member of a pool", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ children: [pool(name, { size: 1 })] });
  const loan = await scene.supervisor.pool(name).checkout();
  const turn = loan.session.stream("hi");
  await turn.result();
  await loan.checkin();
  const { details } = await failure(turn.steer("more", { afterEnd: "enqueue" }), "INVALID_OPTIONS");
  expect(details.problems.map(({ field }) => field)).toEqual(["afterEnd"]);
  expect((await failure(turn.steer("more"), "STEER_REFUSED")).details.reason).toBe("ended");
});

test("turn.steer(): refuses a message to a turn that Claude began by itself", async () => {
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({ script: (turn) => turn.text("hi") });
  await stream(scene.name, "hi").result();
  scene.fake.processes[0]?.beginTurn(async (turn) => {
    await gate.promise;
    await turn.text("a task is over");
  });
  await eventually(() => scene.session.status().turn !== undefined);
  const turn = await scene.session.turn(scene.session.status().turn?.id ?? "");
  if (turn === undefined) throw new Error("none");
  expect((await failure(turn.steer("more"), "STEER_REFUSED")).details).toEqual({
    turnId: turn.id,
    reason: "unprompted",
  });
  gate.resolve();
  await turn.result();
});
