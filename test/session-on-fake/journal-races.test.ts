import { expect, test } from "vitest";
import { session } from "../../src/castellan.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run, said } from "./application.ts";
import { eventually, failure, ticks, unique } from "./scene.ts";

/** A journal whose reads and writes wait for promises. */
class Gated {
  readonly inner: Journal = memoryJournal();
  /** What reads and writes wait for. */
  reading: Promise<unknown> = Promise.resolve();
  writing: Promise<unknown> = Promise.resolve();
  /** What turn-begun writes wait for, and how many have been requested. */
  beginning: Promise<unknown> | undefined;
  begins = 0;
  readonly journal: Journal = {
    location: "gated",
    open: (owner) => this.inner.open(owner),
    close: () => this.inner.close(),
    write: async (batch) => {
      await this.writing;
      if (this.beginning !== undefined && batch.changes.some(({ type }) => type === "turn_begun")) {
        this.begins += 1;
        await this.beginning;
      }
      await this.inner.write(batch);
    },
    sessions: (keys) => this.reading.then(() => this.inner.sessions(keys)),
    unfinishedBeginning: (prefix) => this.inner.unfinishedBeginning(prefix),
    turn: (id) => this.inner.turn(id),
    listSessions: (query) => this.inner.listSessions(query),
    turns: (query) => this.inner.turns(query),
    unfinishedTurns: (keys) => this.inner.unfinishedTurns(keys),
    approvals: (key, limit) => this.inner.approvals(key, limit),
    conversations: (key) => this.inner.conversations(key),
    records: (key) => this.inner.records(key),
    job: (id) => this.inner.job(id),
    jobs: (key) => this.inner.jobs(key),
    dueBeginning: (prefix, until) => this.inner.dueBeginning(prefix, until),
    deliveries: (query) => this.inner.deliveries(query),
    extent: (key) => this.inner.extent(key),
    usage: (query) => this.inner.usage(query),
    events: (query) => this.inner.events(query),
    eventExtent: (key) => this.inner.eventExtent(key),
    content: (hash) => this.inner.content(hash),
    prune: (retention) => this.inner.prune(retention),
  };
}

/** Runs an application that leaves a queued turn with a key in its journal. */
async function left() {
  const [gated, name] = [new Gated(), unique()];
  let hold = true;
  const fake = fakeClaude(async (turn) => {
    if (hold && turn.prompt === "hold") await turn.hang();
    await turn.text(`re: ${turn.prompt}`);
  });
  const both = { fake, journal: gated.journal };
  const first = await run(both, [{ name }]);
  void first.query(name, "hold").catch(() => {});
  await fake.prompted(1);
  const id = await first.session(name).enqueue("A", { idempotencyKey: "k" });
  await first.stop();
  hold = false;
  return { gated, name, both, id, fake };
}

const key = { idempotencyKey: "k" };

test.each(["times out", "is cancelled", "has another prompt", "is the same"])(
  "Recovery: a queued turn of the journal runs, whatever an early query with its key does: one that %s",
  async (how) => {
    const { gated, name, both, id, fake } = await left();
    const read = Promise.withResolvers<void>();
    gated.reading = read.promise;
    const starting = run(both, [{ name }]);
    const abort = new AbortController();
    const early =
      how === "times out"
        ? session(name).query("A", { ...key, timeout: 0 })
        : how === "has another prompt"
          ? session(name).query("B", key)
          : session(name).query("A", { ...key, signal: abort.signal });
    const ended = early.then(
      ({ turnId }) => turnId,
      (error: { code: string }) => error.code,
    );
    if (how === "is cancelled") abort.abort();
    if (how === "times out") await ended;
    await ticks(5);
    read.resolve();
    await using application = await starting;
    const turn = await application.session(name).turn(id);
    expect((await turn?.result())?.text).toBe("re: A");
    const codes = {
      "times out": "TURN_TIMEOUT",
      "is cancelled": "TURN_CANCELLED",
      "has another prompt": "INVALID_OPTIONS",
    };
    expect(await ended).toBe(how in codes ? codes[how as keyof typeof codes] : id);
    expect(fake.processes.flatMap(({ prompts }) => prompts)).not.toContain("B");
    expect((await application.query(name, "after")).text).toBe("re: after");
  },
);

test("Recovery: a turn of the journal keeps its timeout when a query with its key has a shorter one", async () => {
  const { gated, name } = await left();
  const read = Promise.withResolvers<void>();
  gated.reading = read.promise;
  const [clock, fake] = [new SimulatedClock(), fakeClaude((turn) => turn.hang())];
  const starting = run({ fake, journal: gated.journal, clock }, [{ name, onInterruptedTurn: "fail" }]);
  const asked = failure(session(name).query("A", { ...key, timeout: "1s" }), "TURN_INTERRUPTED");
  await ticks(5);
  read.resolve();
  await using application = await starting;
  await fake.prompted(1);
  await clock.advance(5_000);
  expect(application.session(name).status().state).toBe("busy");
  await application.session(name).interrupt();
  await asked;
});

test("Journal: a turn without a key waits for its turn-begun write", async () => {
  const gated = new Gated();
  const [name, fake] = [unique(), fakeClaude((turn) => turn.text("done"))];
  await using application = await run({ fake, journal: gated.journal }, [{ name }]);
  const begins = Promise.withResolvers<void>();
  gated.beginning = begins.promise;
  const asked = application.query(name, "one");
  await eventually(() => gated.begins === 1);
  await ticks(10);
  expect(fake.processes.flatMap(({ prompts }) => prompts)).toEqual([]);
  begins.resolve();
  expect((await asked).text).toBe("done");
});

test("supervisor.stop(): keeps a turn with a key in the journal, although its caller is rejected", async () => {
  const name = unique();
  let hold = true;
  const fake = fakeClaude((turn) => (hold ? turn.hang() : turn.text(`re: ${turn.prompt}`)));
  const journal = memoryJournal();
  const first = await run({ fake, journal }, [{ name }]);
  void first.query(name, "hold").catch(() => {});
  await fake.prompted(1);
  await Promise.all([
    failure(first.query(name, "asked", key), "SUPERVISOR_STOPPED"),
    ticks(5).then(() => first.stop()),
  ]);
  hold = false;
  await using second = await run({ fake, journal }, [{ name }]);
  expect((await second.query(name, "asked", key)).text).toBe("re: asked");
});

test("session.stop(): during the start leaves the journal's turns for the next start", async () => {
  const { gated, name, both, id } = await left();
  const read = Promise.withResolvers<void>();
  gated.reading = read.promise;
  const starting = run(both, [{ name }]);
  const stopped = session(name).stop();
  await ticks(5);
  read.resolve();
  await using application = await starting;
  await stopped;
  const again = await application.startSession({ name });
  const turn = await again.turn(id);
  expect((await turn?.result())?.text).toBe("re: A");
});

test("startSession(): waits for pending writes of the same name, and a cleared conversation stays cleared", async () => {
  const [gated, name] = [new Gated(), unique()];
  const both = { fake: fakeClaude(), journal: gated.journal };
  await using application = await run(both, [{ name }]);
  const { sessionId } = await application.query(name, "one");
  const write = Promise.withResolvers<void>();
  gated.writing = write.promise;
  const ended = application.terminateSession(name, { conversation: "clear" });
  await eventually(() => application.countSessions() === 0);
  const again = application.startSession({ name });
  await ticks(10);
  write.resolve();
  await ended;
  const reply = await (await again).query("two");
  expect(reply.sessionId).not.toBe(sessionId);
  await (await again).stop();
  const third = await application.startSession({ name });
  expect((await third.query("three")).sessionId).toBe(reply.sessionId);
});

test("Quarantine: keeps enqueued turns, which run after restartSession()", async () => {
  const [journal, name] = [memoryJournal(), unique()];
  let bad = true;
  const fake = fakeClaude(async (turn) => {
    if (bad) await turn.fail({ status: 401 });
    await turn.text(`re: ${turn.prompt}`);
  });
  await using application = await run({ fake, journal }, [{ name }]);
  const ids = await Promise.all(["a", "b"].map((prompt) => application.session(name).enqueue(prompt)));
  const waitedFor = failure(application.query(name, "c"), "SESSION_QUARANTINED");
  await eventually(() => application.session(name).status().state === "quarantined");
  await waitedFor;
  await failure(application.session(name).enqueue("d"), "SESSION_QUARANTINED");
  bad = false;
  await application.restartSession(name);
  const turns = await Promise.all(ids.map((id) => application.session(name).turn(id)));
  // The API refused the first turn.
  await failure(turns[0]?.result() ?? Promise.resolve(), "TURN_FAILED");
  expect((await turns[1]?.result())?.text).toBe("re: b");
});

test("idempotencyKey: returns an answered turn although the budget is exceeded", async () => {
  const [journal, name] = [memoryJournal(), unique()];
  const fake = fakeClaude((turn) =>
    turn.prompt === "die" ? turn.crash().then(() => {}) : turn.result({ costUsd: 5, text: "ok" }),
  );
  const first = await run({ fake, journal }, [{ name, budget: { usd: 1 } }], { maxRestarts: 0 });
  const reply = await first.query(name, "go", key);
  await failure(first.query(name, "more"), "BUDGET_EXCEEDED");
  await failure(first.query(name, "more", { idempotencyKey: "other" }), "BUDGET_EXCEEDED");
  expect(await first.query(name, "go", key)).toBe(reply);
  await first.stop();
  await using second = await run({ fake, journal }, [{ name, budget: { usd: 1 } }], { maxRestarts: 0 });
  expect(await second.query(name, "go", key)).toEqual(reply);
  expect(await second.session(name).enqueue("go", key)).toBe(reply.turnId);
});

test("Session: a turn whose turn-begun write is pending during restart, clear or a crash begins once", async () => {
  for (const how of ["restart", "clear", "crash"] as const) {
    const [gated, name, fork] = [new Gated(), unique(), unique("fork")];
    const fake = fakeClaude();
    await using application = await run({ fake, journal: gated.journal }, [{ name }]);
    await application.query(name, "one");
    const forked = await application.session(name).fork(fork);
    const write = Promise.withResolvers<void>();
    gated.beginning = write.promise;
    const turn = forked.stream("two");
    await eventually(() => gated.begins > 0);
    const replaced = how === "crash" ? fake.processes[1]?.crash() : forked[how]();
    await ticks(10);
    write.resolve();
    await replaced;
    await turn.result();
    const lines = said(fake, forked.status().conversationId).filter((line) => line.startsWith("user"));
    expect(lines, how).toEqual(how === "clear" ? ["user: two"] : ["user: one", "user: two"]);
    expect(forked.status().restarts, how).toBe(how === "crash" ? 1 : 0);
  }
});

test("Recovery: settles a turn of a former conversation without touching the forked one", async () => {
  const [journal, name, other] = [memoryJournal(), unique(), unique("other")];
  let hold = true;
  const fake = fakeClaude(async (turn) => {
    if (hold && turn.prompt === "hold") {
      await turn.partial("half");
      await turn.hang();
    }
    await turn.text(`re: ${turn.prompt}`);
  });
  const first = await run({ fake, journal }, [{ name }, { name: other }]);
  await first.query(other, "source");
  const id = await first.session(name).enqueue("hold");
  for await (const _ of (await first.session(name).turn(id))?.text() ?? []) break;
  await first.stop();
  hold = false;
  await using second = await run({ fake, journal }, [{ name: other }]);
  const forked = await second.session(other).fork(name);
  await failure((await forked.turn(id))?.result() ?? Promise.resolve(), "TURN_INTERRUPTED");
  await forked.query("next");
  const lines = said(fake, forked.status().conversationId).filter((line) => line.startsWith("user"));
  expect(lines).toEqual(["user: source", "user: next"]);
});

test('onInterruptedTurn: "retry" keeps a prompt in the conversation once after a stop in mid-turn', async () => {
  const [journal, name] = [memoryJournal(), unique()];
  let hold = true;
  const fake = fakeClaude(async (turn) => {
    if (hold && turn.prompt === "two") {
      await turn.partial("half");
      await turn.hang();
    }
    await turn.text(`re: ${turn.prompt}`);
  });
  const first = await run({ fake, journal }, [{ name, onInterruptedTurn: "retry" }]);
  await first.query(name, "one");
  const id = await first.session(name).enqueue("two");
  for await (const _ of (await first.session(name).turn(id))?.text() ?? []) break;
  await first.stop();
  hold = false;
  await using second = await run({ fake, journal }, [{ name, onInterruptedTurn: "retry" }]);
  const reply = await (await second.session(name).turn(id))?.result();
  expect(said(fake, reply?.sessionId ?? "")).toEqual([
    "user: one",
    "assistant: re: one",
    "user: two",
    "assistant: re: two",
  ]);
});

test("Recovery: turns keep their order over several restarts", async () => {
  const [journal, name] = [memoryJournal(), unique()];
  let hold = true;
  const fake = fakeClaude((turn) => (hold ? turn.hang() : turn.text(turn.prompt)));
  for (const prompts of [["a", "b", "c"], ["d"]]) {
    const application = await run({ fake, journal }, [{ name }]);
    for (const prompt of prompts) await application.session(name).enqueue(prompt);
    await fake.prompted(fake.processes.length);
    await application.stop();
  }
  hold = false;
  await using application = await run({ fake, journal }, [{ name }]);
  await application.query(name, "last");
  expect(fake.processes.at(-1)?.prompts).toEqual(["a", "b", "c", "d", "last"]);
});

test("supervisor.stop(): a turn that was not yet written can be asked again by its key", async () => {
  const [gated, name] = [new Gated(), unique()];
  const both = { fake: fakeClaude(), journal: gated.journal };
  const first = await run(both, [{ name }]);
  const write = Promise.withResolvers<void>();
  gated.writing = write.promise;
  const asked = [first.session(name).enqueue("a", key), first.session(name).enqueue("b")];
  await ticks(5);
  const refused = Promise.all(asked.map((turn) => failure(turn, "SUPERVISOR_STOPPED")));
  const stopped = first.stop();
  await refused;
  write.resolve();
  await stopped;
  await using second = await run(both, [{ name }]);
  expect((await second.query(name, "a", key)).text).toBe("You said: a");
  expect(both.fake.processes.flatMap(({ prompts }) => prompts)).toEqual(["a"]);
});
