import { expect, test } from "vitest";
import { session } from "../../src/castellan.ts";
import { CastellanError, type JournalFault } from "../../src/errors.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock, settle } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { eventually, failure, Scene, thrown, unique, within } from "./scene.ts";

/** A journal with injected faults. */
class Faulty {
  readonly inner: Journal = memoryJournal();
  /** The error of every write, until it is unset. */
  fault: Error | undefined;
  /** The error of every read and of `open()`, until it is unset. */
  unreadable: Error | undefined;
  readonly journal: Journal = {
    location: "faulty",
    open: (owner) => this.#read(() => this.inner.open(owner)),
    close: () => this.inner.close(),
    write: async (batch) => {
      if (this.fault !== undefined) throw this.fault;
      await this.inner.write(batch);
    },
    sessions: (keys) => this.#read(() => this.inner.sessions(keys)),
    unfinishedBeginning: (prefix) => this.#read(() => this.inner.unfinishedBeginning(prefix)),
    turn: (id) => this.#read(() => this.inner.turn(id)),
    listSessions: (query) => this.#read(() => this.inner.listSessions(query)),
    turns: (query) => this.#read(() => this.inner.turns(query)),
    unfinishedTurns: (keys) => this.#read(() => this.inner.unfinishedTurns(keys)),
    approvals: (key, limit) => this.#read(() => this.inner.approvals(key, limit)),
    conversations: (key) => this.#read(() => this.inner.conversations(key)),
    records: (key) => this.inner.records(key),
    job: (id) => this.#read(() => this.inner.job(id)),
    jobs: (key) => this.inner.jobs(key),
    dueBeginning: (prefix, until) => this.#read(() => this.inner.dueBeginning(prefix, until)),
    deliveries: (query) => this.#read(() => this.inner.deliveries(query)),
    extent: (key) => this.#read(() => this.inner.extent(key)),
    usage: (query) => this.#read(() => this.inner.usage(query)),
    events: (query) => this.#read(() => this.inner.events(query)),
    eventExtent: (key) => this.#read(() => this.inner.eventExtent(key)),
    content: (hash, session) => this.#read(() => this.inner.content(hash, session)),
    prune: (retention) => this.#read(() => this.inner.prune(retention)),
  };

  async #read<Value>(work: () => Promise<Value>): Promise<Value> {
    if (this.unreadable !== undefined) throw this.unreadable;
    return await work();
  }
}

const fault = (reason: JournalFault): CastellanError =>
  new CastellanError("JOURNAL_UNAVAILABLE", `the journal is ${reason}`, { details: { reason, applied: false } });

async function open(script?: Parameters<typeof fakeClaude>[0]) {
  const [faulty, clock] = [new Faulty(), new SimulatedClock()];
  const setting = { clock, options: { journal: faulty.journal }, ...(script === undefined ? {} : { script }) };
  const scene = await within(clock, Scene.open(setting));
  // Resolves once the journal has the events of the start.
  await within(clock, scene.session.approvalHistory());
  return { faulty, clock, scene };
}

test("Journal: rejects a turn that it cannot store, which never runs and may be asked again", async () => {
  const { faulty, scene, clock } = await open();
  await using _ = scene;
  faulty.fault = fault("no_space");
  const idempotencyKey = "a";
  for (const ask of [
    () => scene.session.enqueue("one", { idempotencyKey }),
    () => scene.session.enqueue("one", { idempotencyKey }),
    () => scene.session.query("one"),
  ]) {
    const error = await failure(ask(), "JOURNAL_UNAVAILABLE");
    expect(error.details).toEqual({ reason: "no_space", applied: false });
  }
  expect(await within(clock, scene.session.health())).toMatchObject({ status: "degraded" });
  expect(scene.session.status()).toMatchObject({ state: "idle", mailbox: 0 });
  faulty.fault = undefined;
  const id = await within(clock, scene.session.enqueue("one", { idempotencyKey }));
  const turn = await scene.session.turn(id);
  expect((await turn?.result())?.text).toBe("You said: one");
  expect(scene.fake.processes[0]?.prompts).toEqual(["one"]);
  expect(await within(clock, scene.session.health())).toEqual({ status: "healthy" });
});

test("Journal: waits five seconds for an unreachable store before it rejects", async () => {
  const { faulty, scene, clock } = await open();
  await using _ = scene;
  faulty.fault = fault("unreachable");
  const early = scene.session.enqueue("early");
  await clock.advance(3_000);
  faulty.fault = undefined;
  await within(clock, early);
  faulty.fault = fault("unreachable");
  const begun = clock.now();
  await within(clock, failure(scene.session.enqueue("late"), "JOURNAL_UNAVAILABLE"));
  expect(clock.now() - begun).toBeGreaterThanOrEqual(5_000);
  expect(clock.now() - begun).toBeLessThan(6_000);
  faulty.fault = undefined;
  await within(clock, scene.session.query("after"));
  expect(scene.fake.processes[0]?.prompts).toEqual(["early", "after"]);
});

test("Journal: a running turn completes during an outage, replies within five seconds, and is written later", async () => {
  const go = Promise.withResolvers<void>();
  const { faulty, scene, clock } = await open(async (turn) => {
    await go.promise;
    await turn.text("done");
  });
  await using _ = scene;
  const turn = scene.session.stream("one", { idempotencyKey: "k" });
  await within(clock, scene.fake.prompted(1));
  faulty.fault = fault("unreachable");
  const begun = clock.now();
  go.resolve();
  await eventually(() => turn.state === "completed");
  expect((await within(clock, turn.result())).text).toBe("done");
  expect(clock.now() - begun).toBeLessThanOrEqual(5_200);
  expect((await faulty.inner.turn(turn.id))?.state).toBe("running");
  faulty.fault = undefined;
  await clock.advance(3_000);
  const entry = await faulty.inner.turn(turn.id);
  expect(entry?.state).toBe("completed");
  expect((await scene.session.usage())[0]?.costUsd).toBeGreaterThan(0);
});

test("Journal: a queued turn does not begin during an outage, but may time out", async () => {
  const go = Promise.withResolvers<void>();
  const { faulty, scene, clock } = await open(async (turn) => {
    if (turn.prompt === "first") await go.promise;
    await turn.text(turn.prompt);
  });
  await using _ = scene;
  const first = scene.session.stream("first");
  await within(clock, scene.fake.prompted(1));
  await scene.session.enqueue("second", { timeout: 20_000 });
  const third = scene.session.stream("third");
  await eventually(() => third.state === "queued");
  faulty.fault = fault("unreachable");
  go.resolve();
  await within(clock, first.result());
  await clock.advance(30_000);
  expect(scene.fake.processes[0]?.prompts).toEqual(["first"]);
  expect(scene.session.status()).toMatchObject({ state: "idle", mailbox: 1 });
  faulty.fault = undefined;
  expect((await within(clock, third.result())).text).toBe("third");
  expect(scene.fake.processes[0]?.prompts).toEqual(["first", "third"]);
});

test("Turn timeouts: apply while the journal does not answer", async () => {
  const { faulty, scene, clock } = await open();
  await using _ = scene;
  faulty.fault = fault("unreachable");
  const begun = clock.now();
  const given = new AbortController();
  const turns = [
    failure(scene.session.query("one", { timeout: 1_000 }), "TURN_TIMEOUT"),
    failure(scene.session.query("two", { queueTimeout: 1_000 }), "QUEUE_TIMEOUT"),
    failure(scene.session.query("three", { signal: given.signal }), "TURN_CANCELLED"),
  ];
  given.abort();
  await within(clock, Promise.all(turns));
  expect(clock.now() - begun).toBeLessThanOrEqual(1_100);
  faulty.fault = undefined;
  await within(clock, scene.session.query("four"));
  expect(scene.fake.processes[0]?.prompts).toEqual(["four"]);
});

test("Supervisor.start(): rejects on an unreadable journal and frees its names; the next start succeeds", async () => {
  const [faulty, name] = [new Faulty(), unique()];
  const fake = fakeClaude();
  faulty.unreadable = fault("unreachable");
  await failure(run({ fake, journal: faulty.journal }, [{ name }]), "JOURNAL_UNAVAILABLE");
  faulty.unreadable = undefined;
  await using application = await run({ fake, journal: faulty.journal }, [{ name }]);
  expect((await application.query(name, "hi")).text).toBe("You said: hi");
  faulty.unreadable = fault("unreachable");
  const other = unique("other");
  await failure(application.startSession({ name: other }), "JOURNAL_UNAVAILABLE");
  await thrown(() => session(other), "SESSION_NOT_FOUND");
  await failure(application.session(name).turn("unknown"), "JOURNAL_UNAVAILABLE");
  await failure(application.session(name).usage(), "JOURNAL_UNAVAILABLE");
  // Health needs no journal.
  expect(await application.session(name).health()).toEqual({ status: "healthy" });
  expect(fake.processes).toHaveLength(1);
});

test("Journal: an unknown kind of conversation quarantines its session alone", async () => {
  const [journal, name] = [memoryJournal(), unique()];
  const fake = fakeClaude();
  await journal.open({ id: "test", pid: 1, host: "here", startedAt: 0 });
  const entry = { key: JSON.stringify(name), supervisor: "s", conversationId: "c", memory: { kind: "?" }, savedAt: 0 };
  await journal.write({ number: 1, changes: [{ type: "session_saved", session: entry }], durable: false });
  await journal.close();
  const other = unique("other");
  await using application = await run({ fake, journal }, [{ name }, { name: other }]);
  expect(application.notStarted.map((not) => not.name)).toEqual([name]);
  const error = await failure(application.query(name, "hi"), "SESSION_QUARANTINED");
  expect(error.message).toContain("cannot read the conversation in the journal");
  // The other session runs.
  expect((await application.query(other, "hi")).text).toBe("You said: hi");
  expect(fake.processes).toHaveLength(1);
});

test("Supervisor: kills its processes at once when another application owns its journal", async () => {
  const { faulty, scene, clock } = await open((turn) => turn.hang());
  await using _ = scene;
  const turn = scene.session.stream("one");
  await within(clock, scene.fake.prompted(1));
  faulty.fault = new CastellanError("NOT_OWNER", "another application has the journal");
  const refused = failure(scene.session.enqueue("two"), "NOT_OWNER");
  const end = await within(clock, scene.supervisor.closed);
  expect(end.reason).toBe("journal_lost");
  expect(CastellanError.is(end.cause, "NOT_OWNER")).toBe(true);
  await Promise.all([refused, failure(turn.result(), "TURN_INTERRUPTED")]);
  await settle();
  expect(scene.fake.running).toEqual([]);
  await thrown(() => session(scene.name), "SESSION_NOT_FOUND");
});

test("supervisor.stop(): completes while the journal does not answer", async () => {
  const { faulty, scene, clock } = await open();
  await within(clock, scene.session.query("one"));
  faulty.fault = fault("unreachable");
  const turn = scene.session.stream("two");
  const refused = turn.result().catch((error: unknown) => error);
  await within(clock, scene[Symbol.asyncDispose]());
  expect(await refused).toBeInstanceOf(CastellanError);
});

test("PreToolUse: a tool waits for the turn-touched write, five seconds at most", async () => {
  const ran: string[] = [];
  let before = (): void => {};
  const { faulty, scene, clock } = await open(async (turn) => {
    before();
    await turn.hook("PreToolUse", { tool_name: "Bash", tool_input: {}, tool_use_id: "t" });
    ran.push(turn.prompt);
    await turn.text("done");
  });
  await using _ = scene;
  const touched = async (turn: { id: string }) => (await faulty.inner.turn(turn.id))?.touched;
  const one = scene.session.stream("one");
  await within(clock, one.result());
  expect(await touched(one)).toBe(true);
  before = () => {
    faulty.fault = fault("unreachable");
  };
  const two = scene.session.stream("two");
  await within(clock, scene.fake.prompted(2));
  await clock.advance(3_000);
  expect(ran).toEqual(["one"]);
  await clock.advance(3_000);
  expect(ran).toEqual(["one", "two"]);
  faulty.fault = undefined;
  await within(clock, two.result());
});

test("onInterruptedTurn: does not retry a turn that died in its first tool, even if no message was seen", async () => {
  let tools = 0;
  await using scene = await Scene.open({
    session: { includePartialMessages: false },
    script: async (turn) => {
      await turn.hook("PreToolUse", { tool_name: "Bash", tool_input: {}, tool_use_id: "t" });
      tools += 1;
      await turn.crash();
    },
  });
  await failure(scene.session.query("go"), "TURN_INTERRUPTED");
  expect(tools).toBe(1);
});

test('Session: a start during an outage of the journal is retried as "overload" until the journal is back', async () => {
  const [faulty, clock, name] = [new Faulty(), new SimulatedClock(), unique()];
  const fake = fakeClaude(undefined, { startup: (process, n) => (n === 1 ? process.crash({ code: 1 }) : undefined) });
  const children = [{ name }];
  const supervisor = await within(clock, run({ fake, journal: faulty.journal, clock }, children, { maxRestarts: 0 }));
  expect(session(name).status().state).toBe("quarantined");
  faulty.unreadable = fault("unreachable");
  const restarted = supervisor.restartSession(name);
  await within(
    clock,
    eventually(() => session(name).status().restarts > 2),
  );
  expect(session(name).status().lastExit).toMatchObject({ class: "overload" });
  faulty.unreadable = undefined;
  await within(clock, restarted);
  expect((await within(clock, session(name).query("hi"))).text).not.toBe("");
  await within(clock, supervisor.stop());
});
