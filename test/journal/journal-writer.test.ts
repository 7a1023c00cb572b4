import { describe, expect, it } from "vitest";
import { CastellanError, type JournalFault } from "../../src/errors.ts";
import { JournalWriter } from "../../src/journal/journal-writer.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Batch, Change } from "../../src/journal/model/change.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { SimulatedClock, settle } from "../supervision/simulated-clock.ts";

/** A journal whose writes the test answers. */
class Stubborn {
  readonly batches: Batch[] = [];
  /** The answers to the writes, in order. Further writes succeed. */
  readonly answers: (Error | Promise<void> | "never" | undefined)[] = [];
  readonly journal: Journal = {
    ...memoryJournal(),
    location: "stubborn",
    write: async (batch: Batch) => {
      const answer = this.answers.shift();
      this.batches.push(batch);
      if (answer === "never") await new Promise(() => {});
      if (answer instanceof Error) throw answer;
      await answer;
    },
  };

  get written(): string[][] {
    return this.batches.map(({ changes }) => changes.map((change) => ("turn" in change ? String(change.turn) : "?")));
  }
}

const change = (turn: string): Change => ({ type: "turn_touched", turn });

const fault = (reason: JournalFault, applied?: boolean): CastellanError =>
  new CastellanError("JOURNAL_UNAVAILABLE", `it is ${reason}`, {
    details: { reason, ...(applied === undefined ? {} : { applied }) },
  });

function setUp(): { stubborn: Stubborn; writer: JournalWriter; clock: SimulatedClock } {
  const [stubborn, clock] = [new Stubborn(), new SimulatedClock()];
  return { stubborn, clock, writer: new JournalWriter(stubborn.journal, { clock, random: () => 0.5 }) };
}

/** Returns the state of a promise after all ready microtasks have run. */
async function outcome(promise: Promise<void>): Promise<string> {
  const pending = settle().then(() => "pending");
  return await Promise.race([
    promise.then(
      () => "written",
      (error: CastellanError) => error.code,
    ),
    pending,
  ]);
}

describe("JournalWriter", () => {
  it("batches the changes of one tick, and the changes during a write into the next batch, in order", async () => {
    const { stubborn, writer } = setUp();
    const first = [writer.write([change("a"), change("b")]), writer.record([change("c")])];
    await Promise.all(first);
    await Promise.all([writer.record([change("d")]), writer.write([change("e")])]);
    expect(stubborn.written).toEqual([
      ["a", "b", "c"],
      ["d", "e"],
    ]);
    expect(stubborn.batches.map(({ number }) => number)).toEqual([1, 2]);
  });

  it("names the sessions of a batch if all its changes name theirs", async () => {
    const { stubborn, writer } = setUp();
    const [a, b] = [{ session: "a" }, { session: "b" }];
    await Promise.all([writer.record([change("1")], a), writer.write([change("2")]), writer.record([change("3")], b)]);
    await Promise.all([writer.record([change("4")], a), writer.write([change("5")], a)]);
    await writer.write([change("6")]);
    expect(stubborn.batches.map(({ sessions }) => sessions)).toEqual([["a", "b"], ["a"], undefined]);
  });

  it("leaves out that Claude began to answer a turn that ends in the same batch, and keeps it for others", async () => {
    const { stubborn, writer } = setUp();
    const ended = (turn: string): Change => ({ type: "turn_ended", turn, state: "completed", at: 0, outcome: {} });
    await Promise.all([
      writer.record([change("a"), change("b")]),
      writer.record([ended("a")]),
      writer.record([change("c")]),
    ]);
    await writer.record([ended("b")]);
    await writer.record([change("d")]);
    const types = stubborn.batches.map(({ changes }) =>
      changes.map((one) => `${one.type} ${"turn" in one ? one.turn : ""}`),
    );
    expect(types).toEqual([["turn_touched b", "turn_ended a", "turn_touched c"], ["turn_ended b"], ["turn_touched d"]]);
  });

  it("settles a session at once while only other sessions have pending changes", async () => {
    const { stubborn, writer } = setUp();
    const [answer, later] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    stubborn.answers.push(answer.promise, later.promise);
    const first = writer.record([change("1")], { session: "a" });
    await settle();
    const second = writer.record([change("2")], { session: "b" });
    expect(await outcome(writer.settled("c"))).toBe("written");
    const settled = { a: writer.settled("a"), b: writer.settled("b"), all: writer.settled() };
    expect(await Promise.all(Object.values(settled).map(outcome))).toEqual(["pending", "pending", "pending"]);
    answer.resolve();
    await first;
    expect(await outcome(writer.settled("a"))).toBe("written");
    expect(await outcome(settled.b)).toBe("pending");
    later.resolve();
    await Promise.all([second, ...Object.values(settled)]);
    // A change without a session may concern any.
    const unnamed = Promise.withResolvers<void>();
    stubborn.answers.push(unnamed.promise);
    const anonymous = writer.record([change("3")]);
    await settle();
    expect(await outcome(writer.settled("c"))).toBe("pending");
    unnamed.resolve();
    await anonymous;
  });

  it("makes a batch durable if any of its changes is", async () => {
    const { stubborn, writer } = setUp();
    await Promise.all([writer.record([change("a")]), writer.write([change("b")], { durable: true })]);
    await writer.write([change("c")]);
    expect(stubborn.batches.map(({ durable }) => durable)).toEqual([true, false]);
  });

  it("limits a batch to 500 changes", async () => {
    const { stubborn, writer } = setUp();
    await Promise.all(Array.from({ length: 1_200 }, (_, n) => writer.record([change(`${n}`)])));
    expect(stubborn.batches.map(({ changes }) => changes.length)).toEqual([500, 500, 200]);
  });

  it("repeats a batch under its number while it may have been applied", async () => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push(fault("unreachable"), new Error("something of its own"));
    const written = writer.write([change("a")]);
    await settle();
    expect(writer.fault?.code).toBe("JOURNAL_UNAVAILABLE");
    const later = writer.record([change("b")]);
    await clock.advance(1_000);
    expect([await outcome(written), await outcome(later)]).toEqual(["written", "written"]);
    expect(stubborn.written).toEqual([["a"], ["a"], ["a"], ["b"]]);
    expect(stubborn.batches.map(({ number }) => number)).toEqual([1, 1, 1, 2]);
    expect(writer.fault).toBeUndefined();
  });

  it("rejects only the change that the journal refuses, not those in its batch", async () => {
    const { stubborn, writer } = setUp();
    stubborn.answers.push(fault("no_space", false), undefined, fault("no_space", false));
    const all = [writer.write([change("a")]), writer.write([change("big")]), writer.record([change("c")])];
    expect(await Promise.all(all.map(outcome))).toEqual(["written", "JOURNAL_UNAVAILABLE", "written"]);
    expect(stubborn.written).toEqual([["a", "big", "c"], ["a"], ["big"], ["c"]]);
    expect(stubborn.batches.map(({ number }) => number)).toEqual([1, 1, 2, 2]);
  });

  it("retries a record until there is space", async () => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push(...Array.from({ length: 5 }, () => fault("no_space", false)));
    const happened = writer.record([change("a")]);
    await clock.advance(60_000);
    expect(await outcome(happened)).toBe("written");
    expect(stubborn.written).toEqual(Array.from({ length: 6 }, () => ["a"]));
  });

  it("gives up a record only if the journal refuses it for good", async () => {
    const { stubborn, writer } = setUp();
    stubborn.answers.push(fault("refused", false));
    expect(await outcome(writer.record([change("odd")]))).toBe("JOURNAL_UNAVAILABLE");
    expect(await outcome(writer.record([change("next")]))).toBe("written");
  });

  it("rejects a write after five seconds when the journal is unreachable, and never writes it later", async () => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push(...Array.from({ length: 20 }, () => fault("unreachable", false)));
    const happened = writer.record([change("happened")]);
    await settle();
    const asked = writer.write([change("asked")]);
    const refused = asked.catch((error: unknown) => error);
    await clock.advance(4_900);
    expect(await outcome(asked)).toBe("pending");
    await clock.advance(200);
    const error = await refused;
    expect(CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details).toEqual({
      reason: "unreachable",
      applied: false,
    });
    await clock.advance(60_000);
    expect(await outcome(happened)).toBe("written");
    expect(stubborn.written.at(-1)).toEqual(["happened"]);
  });

  it("retries a whole batch for five seconds while another program has locked the journal", async () => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push(...Array.from({ length: 10 }, () => fault("busy", false)));
    const all = [writer.write([change("a")]), writer.record([change("b")]), writer.write([change("c")])];
    await clock.advance(2_500);
    expect(await Promise.all(all.map(outcome))).toEqual(["written", "written", "written"]);
    expect(stubborn.written).toEqual(Array.from({ length: 11 }, () => ["a", "b", "c"]));
    stubborn.answers.push(...Array.from({ length: 60 }, () => fault("busy", false)));
    const refused = writer.write([change("late")]).catch((error: unknown) => error);
    await clock.advance(5_000);
    const error = await refused;
    expect(CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details).toEqual({
      reason: "busy",
      applied: false,
    });
  });

  it("probes an impaired journal until it can be written, also without changes", async () => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push(...Array.from({ length: 4 }, () => fault("no_space", false)));
    expect(await outcome(writer.write([change("a")]))).toBe("JOURNAL_UNAVAILABLE");
    expect(writer.fault?.code).toBe("JOURNAL_UNAVAILABLE");
    await clock.advance(10_000);
    expect(writer.fault).toBeUndefined();
    expect(stubborn.batches.map(({ changes }) => changes.length)).toEqual([1, 0, 0, 0, 0]);
    expect(clock.timers).toBe(0);
    expect(await outcome(writer.write([change("b")]))).toBe("written");
    expect(stubborn.batches.map(({ number }) => number)).toEqual([1, 1, 1, 1, 1, 2]);
  });

  it("writes at once during a probe, but after a batch that may have been applied", async () => {
    const { stubborn, writer, clock } = setUp();
    writer.impair(fault("no_space", false));
    expect(writer.fault?.code).toBe("JOURNAL_UNAVAILABLE");
    expect(await outcome(writer.settled())).toBe("written");
    expect(await outcome(writer.write([change("a")]))).toBe("written");
    writer.impair(fault("no_space", false));
    stubborn.answers.push(fault("failed"));
    await clock.advance(120);
    const later = writer.write([change("b")]);
    await clock.advance(3_000);
    expect(await outcome(later)).toBe("written");
    expect(stubborn.batches.map(({ number, changes }) => [number, changes.length])).toEqual([
      [1, 1],
      [2, 0],
      [2, 0],
      [3, 1],
    ]);
  });

  it("resolves caughtUp after five seconds of an unreachable journal, and rejects it with NOT_OWNER when the journal is lost", async () => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push(...Array.from({ length: 20 }, () => fault("unreachable", false)));
    writer.note([change("a")]);
    const early = outcome(writer.caughtUp());
    await clock.advance(5_000);
    expect(await early).toBe("pending");
    await writer.caughtUp();
    writer.lose(new CastellanError("NOT_OWNER", "another has it"));
    expect(await outcome(writer.caughtUp())).toBe("NOT_OWNER");
  });

  it("rejects no write while a slow journal completes batches, and rejects five seconds after it completes the last", async () => {
    const { stubborn, writer, clock } = setUp();
    const answers = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
    stubborn.answers.push(...answers.map(({ promise }) => promise), "never");
    const many = Array.from({ length: 2_000 }, (_, n) => writer.write([change(`${n}`)]));
    const last = many.at(-1)?.catch((error: unknown) => error);
    for (const [at, answer] of answers.entries()) {
      await clock.advance(4_000);
      expect(await outcome(many.at(-1) ?? Promise.resolve())).toBe("pending");
      answer.resolve();
      await outcome(many[at * 500] ?? Promise.resolve());
    }
    await Promise.all(many.slice(0, 1_500));
    await clock.advance(4_900);
    expect(await outcome(many.at(-1) ?? Promise.resolve())).toBe("pending");
    for (const written of many.slice(1_500)) written.catch(() => {});
    await clock.advance(200);
    expect(CastellanError.is(await last, "JOURNAL_UNAVAILABLE")).toBe(true);
    expect(clock.timers).toBe(0);
  });

  it("does not count the time in which its own process was blocked", async () => {
    const { stubborn, clock } = setUp();
    // Due timers run before the answers that arrived while the process stood still.
    const standing = new (class extends SimulatedClock {
      stood = 0;
      override monotonic(): number {
        return clock.monotonic() + this.stood;
      }
    })();
    standing.schedule = (ms, callback) => clock.schedule(ms, callback);
    const blocked = new JournalWriter(stubborn.journal, { clock: standing, random: () => 0.5 });
    const answer = Promise.withResolvers<void>();
    stubborn.answers.push(answer.promise, "never");
    const written = blocked.write([change("a")]);
    await settle();
    standing.stood = 60_000;
    await clock.advance(5_000);
    answer.resolve();
    expect(await outcome(written)).toBe("written");
    expect(blocked.fault).toBeUndefined();
    expect(clock.timers).toBe(0);
  });

  it("leaves `applied` undefined for a write that was in progress at its deadline", async () => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push("never");
    const refused = writer.write([change("asked")]).catch((error: unknown) => error);
    await clock.advance(5_000);
    const error = await refused;
    expect(CastellanError.is(error, "JOURNAL_UNAVAILABLE") && "applied" in error.details).toBe(false);
  });

  it("rejects everything with NOT_OWNER once the journal answers so", async () => {
    const { stubborn, writer } = setUp();
    stubborn.answers.push(new CastellanError("NOT_OWNER", "another has it"));
    const all = [writer.write([change("a")]), writer.record([change("b")])];
    expect(await Promise.all(all.map(outcome))).toEqual(["NOT_OWNER", "NOT_OWNER"]);
    expect((await writer.lost).code).toBe("NOT_OWNER");
    expect(await outcome(writer.write([change("c")]))).toBe("NOT_OWNER");
    expect(stubborn.batches).toHaveLength(1);
  });

  it("rejects pending changes with NOT_OWNER after lose(), and retries nothing", async () => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push(fault("unreachable"));
    const all = [writer.write([change("a")]), writer.record([change("b")])];
    await settle();
    const refused = Promise.allSettled([...all, writer.record([change("c")])]);
    writer.lose(new CastellanError("NOT_OWNER", "another has it"));
    writer.lose(new CastellanError("NOT_OWNER", "a third one has it"));
    expect((await writer.lost).message).toBe("another has it");
    expect(writer.fault?.code).toBe("NOT_OWNER");
    const notOwner = { status: "rejected", reason: expect.objectContaining({ code: "NOT_OWNER" }) };
    expect(await refused).toEqual([notOwner, notOwner, notOwner]);
    await clock.advance(10_000);
    expect(stubborn.batches).toHaveLength(1);
    expect(clock.timers).toBe(0);
  });

  it("finishes the write in progress after lose()", async () => {
    const { stubborn, writer } = setUp();
    const { promise, resolve } = Promise.withResolvers<void>();
    stubborn.answers.push(promise);
    const written = writer.write([change("a")]);
    await settle();
    const waits = outcome(writer.write([change("b")]));
    writer.lose(new CastellanError("NOT_OWNER", "another has it"));
    expect(await waits).toBe("NOT_OWNER");
    resolve();
    expect(await outcome(written)).toBe("written");
    expect(await outcome(writer.settled())).toBe("NOT_OWNER");
    expect(writer.fault?.code).toBe("NOT_OWNER");
  });

  it("writes pending changes before it closes, and rejects later ones", async () => {
    const { stubborn, writer } = setUp();
    const last = writer.record([change("a")]);
    await writer.close(1_000);
    expect(await outcome(last)).toBe("written");
    expect(await outcome(writer.record([change("b")]))).toBe("JOURNAL_UNAVAILABLE");
    expect(stubborn.written).toEqual([["a"]]);
  });

  it("closes at its deadline with pending changes, and leaves no timer", async () => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push(...Array.from({ length: 99 }, () => fault("unreachable")));
    const left = [writer.record([change("a")]), writer.write([change("b")])];
    await settle();
    const refused = Promise.allSettled([...left, writer.record([change("c")])]);
    const closed = writer.close(1_000);
    await clock.advance(1_000);
    await closed;
    const unavailable = { status: "rejected", reason: expect.objectContaining({ code: "JOURNAL_UNAVAILABLE" }) };
    expect(await refused).toEqual([unavailable, unavailable, unavailable]);
    await settle();
    expect(clock.timers).toBe(0);
  });
});

describe("JournalWriter.settled", () => {
  it("resolves at once without pending changes, and writes nothing", async () => {
    const { stubborn, writer, clock } = setUp();
    await writer.settled();
    await writer.write([change("a")]);
    await writer.settled();
    await Promise.all([writer.settled(), writer.write([])]);
    expect(stubborn.written).toEqual([["a"]]);
    await writer.close(1_000);
    await writer.settled();
    expect(clock.timers).toBe(0);
  });

  it("resolves once all earlier changes are written, without waiting for later ones", async () => {
    const { stubborn, writer } = setUp();
    const answers = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
    stubborn.answers.push(...answers.map(({ promise }) => promise));
    const events: string[] = [];
    const note = (event: string) => () => events.push(event);
    void writer.record([change("a")]).then(note("a"));
    await settle();
    void writer.record(Array.from({ length: 500 }, () => change("b"))).then(note("b"));
    void writer.settled().then(note("settled"));
    void writer.record([change("c")]).then(note("c"));
    for (const { resolve } of answers) {
      await settle();
      events.push("answer");
      resolve();
    }
    await settle();
    expect(events).toEqual(["answer", "a", "answer", "b", "settled", "answer", "c"]);
    expect(stubborn.batches.map(({ changes }) => changes.length)).toEqual([1, 500, 1]);
  });

  it("resolves also when a change was refused", async () => {
    const { stubborn, writer } = setUp();
    stubborn.answers.push(fault("refused", false), fault("refused", false));
    const refused = outcome(writer.write([change("odd")]));
    expect(await outcome(writer.settled())).toBe("written");
    expect(await refused).toBe("JOURNAL_UNAVAILABLE");
  });

  it("rejects after five seconds, while the change is still written later", async () => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push(...Array.from({ length: 20 }, () => fault("unreachable", false)));
    const happened = writer.record([change("a")]);
    await settle();
    const settled = writer.settled().catch((error: CastellanError) => error.code);
    await clock.advance(5_000);
    expect(await settled).toBe("JOURNAL_UNAVAILABLE");
    await clock.advance(60_000);
    expect(await outcome(happened)).toBe("written");
  });

  it("rejects with NOT_OWNER when another application owns the journal", async () => {
    const { stubborn, writer } = setUp();
    stubborn.answers.push(new CastellanError("NOT_OWNER", "another has it"));
    const all = [writer.record([change("a")]), writer.settled()];
    expect(await Promise.all(all.map(outcome))).toEqual(["NOT_OWNER", "NOT_OWNER"]);
    expect(await outcome(writer.settled())).toBe("NOT_OWNER");
  });
});

describe("JournalWriter, lazy changes", () => {
  const LAZY = { session: "a", lazy: true } as const;
  const event = (number: number, session = "a"): Change => ({
    type: "event_appended",
    event: { session, number, at: 0, type: "hibernated", body: {} },
  });
  /** Returns what the batches have: the number of an event, the turn of another change, or its type. */
  const written = ({ batches }: Stubborn): string[][] =>
    batches.map(({ changes }) =>
      changes.map((one) => {
        if (one.type === "event_appended") return `${one.event.session}${one.event.number}`;
        return "turn" in one ? String(one.turn) : one.type;
      }),
    );

  it("share the batch of the next event of their session, in order", async () => {
    const { stubborn, writer, clock } = setUp();
    const lazy = [writer.record([event(1)], LAZY), writer.record([event(2)], LAZY)];
    await clock.advance(199);
    expect(await Promise.all(lazy.map(outcome))).toEqual(["pending", "pending"]);
    await writer.record([change("t"), event(3)], { session: "a" });
    expect(written(stubborn)).toEqual([["a1", "a2", "t", "a3"]]);
    expect(await Promise.all(lazy.map(outcome))).toEqual(["written", "written"]);
    await clock.advance(200);
    expect(clock.timers).toBe(0);
    expect(written(stubborn)).toHaveLength(1);
  });

  it("wait during changes without events and during events of other sessions", async () => {
    const { stubborn, writer } = setUp();
    const lazy = writer.record([event(1)], LAZY);
    await writer.record([change("t")], { session: "a" });
    await writer.write([event(1, "b")], { session: "b" });
    await writer.record([], { session: "b" });
    expect(written(stubborn)).toEqual([["t"], ["b1"]]);
    expect(await outcome(lazy)).toBe("pending");
  });

  it.each<readonly [string, (writer: JournalWriter) => Promise<void>]>([
    ["a barrier of their session", (writer) => writer.record([], { session: "a" })],
    ["settled()", (writer) => writer.settled()],
    ["caughtUp()", (writer) => writer.caughtUp()],
    ["close()", (writer) => writer.close(1_000)],
  ])("are written before %s resolves", async (_, wait) => {
    const { stubborn, writer, clock } = setUp();
    const lazy = writer.record([event(1)], LAZY);
    const other = writer.record([event(1, "b")], { session: "b", lazy: true });
    await wait(writer);
    expect(await outcome(lazy)).toBe("written");
    expect(written(stubborn).flat()).toContain("a1");
    await clock.advance(200);
    expect(await outcome(other)).toBe("written");
    expect(clock.timers).toBe(0);
  });

  it("are written after 200 ms, those of all sessions in one batch", async () => {
    const { stubborn, writer, clock } = setUp();
    const first = writer.record([event(1)], LAZY);
    await clock.advance(150);
    const second = writer.record([event(1, "b")], { session: "b", lazy: true });
    await clock.advance(49);
    expect(await outcome(first)).toBe("pending");
    await clock.advance(1);
    expect([await outcome(first), await outcome(second)]).toEqual(["written", "written"]);
    expect(written(stubborn)).toEqual([["a1", "b1"]]);
    expect(clock.timers).toBe(0);
  });

  it("are written at once after release() of their session", async () => {
    const { stubborn, writer } = setUp();
    const lazy = writer.record([event(1)], LAZY);
    writer.release("b");
    expect(await outcome(lazy)).toBe("pending");
    writer.release("a");
    expect(await outcome(lazy)).toBe("written");
    writer.release("a");
    expect(written(stubborn)).toEqual([["a1"]]);
  });

  it.each<readonly [string, Change]>([
    ["the session is erased", { type: "session_erased", session: "a", as: "b" }],
    ["the session is forgotten", { type: "session_forgotten", session: "a" }],
    ["a conversation is erased", { type: "conversation_erased", session: "a", conversationId: "c" }],
  ])("are written before %s", async (_, deletion) => {
    const { stubborn, writer } = setUp();
    void writer.record([event(1)], LAZY);
    await writer.write([deletion], { session: "a" });
    expect(written(stubborn)).toEqual([["a1", deletion.type]]);
  });

  it("are rejected with NOT_OWNER after lose(), and leave no timer", async () => {
    const { stubborn, writer, clock } = setUp();
    const lazy = writer.record([event(1)], LAZY);
    writer.lose(new CastellanError("NOT_OWNER", "another has it"));
    expect(await outcome(lazy)).toBe("NOT_OWNER");
    expect(clock.timers).toBe(0);
    expect(stubborn.batches).toEqual([]);
  });

  it("do not wait while the writer closes", async () => {
    const { stubborn, writer, clock } = setUp();
    const answer = Promise.withResolvers<void>();
    stubborn.answers.push(answer.promise);
    const first = writer.record([change("t")]);
    await settle();
    const closed = writer.close(1_000);
    const late = writer.record([event(1)], LAZY);
    answer.resolve();
    await closed;
    expect([await outcome(first), await outcome(late)]).toEqual(["written", "written"]);
    expect(clock.timers).toBe(0);
    expect(await outcome(writer.record([event(2)], LAZY))).toBe("JOURNAL_UNAVAILABLE");
  });

  it("are rejected when the writer closes at its deadline", async () => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push("never");
    void writer.record([change("t")]);
    await settle();
    const lazy = writer.record([event(1)], LAZY);
    const closed = writer.close(100);
    const late = writer.record([event(2)], LAZY);
    const outcomes = Promise.all([lazy, late].map((one) => one.catch(({ code }: CastellanError) => code)));
    await clock.advance(100);
    await closed;
    expect(await outcomes).toEqual(["JOURNAL_UNAVAILABLE", "JOURNAL_UNAVAILABLE"]);
    expect(clock.timers).toBe(0);
  });

  it.each<readonly [string, (writer: JournalWriter) => unknown]>([
    ["release()", (writer) => writer.release("a")],
    ["close()", (writer) => writer.close(10_000)],
    ["an event of their session", (writer) => writer.note([event(2)], { session: "a" })],
  ])("are written at once at %s, also while the writer probes an impaired journal", async (_, end) => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push(...Array.from({ length: 5 }, () => fault("no_space", false)));
    writer.impair(fault("no_space", false));
    await clock.advance(3_000);
    stubborn.answers.length = 0;
    const lazy = writer.record([event(1)], LAZY);
    end(writer);
    expect(await outcome(lazy)).toBe("written");
    expect(writer.fault).toBeUndefined();
  });

  it("are retried like other changes, before later events of their session", async () => {
    const { stubborn, writer, clock } = setUp();
    stubborn.answers.push(...Array.from({ length: 3 }, () => fault("no_space", false)));
    const lazy = writer.record([event(1)], LAZY);
    await clock.advance(200);
    expect(await outcome(lazy)).toBe("pending");
    const later = writer.record([event(2)], { session: "a" });
    await clock.advance(5_000);
    expect([await outcome(lazy), await outcome(later)]).toEqual(["written", "written"]);
    expect([...new Set(written(stubborn).flat())]).toEqual(["a1", "a2"]);
    expect(written(stubborn).at(-1)?.at(-1)).toBe("a2");
  });
});
