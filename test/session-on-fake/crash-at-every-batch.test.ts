import { expect, test } from "vitest";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { CrashingJournal } from "./crashing-journal.ts";
import { collect, eventually, ticks, unique, within } from "./scene.ts";

const KEYS = ["a", "b", "touches", "c", "d"];

/** Runs an application up to this batch, crashes it, and starts it again. */
async function crashAt(batches: number) {
  const [clock, name] = [new SimulatedClock(), unique()];
  const answered: string[] = [];
  const fake = fakeClaude(async (turn) => {
    const text = `re: ${turn.prompt}`;
    if (turn.prompt === "touches") {
      await turn.partial(text.slice(0, 2));
      // The ticks make a batch of its own for the touch.
      await ticks(5);
    }
    await turn.text(turn.prompt === "touches" ? text.slice(2) : text);
    answered.push(turn.prompt);
  });
  const crashing = new CrashingJournal(batches);
  const first = await within(clock, run({ fake, journal: crashing.journal, clock }, [{ name }]));
  const seen: SessionEvent[] = [];
  const reading = (async () => {
    for await (const event of first.session(name).events({ after: 0 })) seen.push(event);
  })();
  const acknowledged = new Map<string, string>();
  const asked = KEYS.map(async (key) => {
    acknowledged.set(key, await first.session(name).enqueue(key, { idempotencyKey: key }));
  });
  void Promise.allSettled(asked);
  // Waits until the run is stuck on the journal or finished.
  const ended = (): number =>
    crashing.taken.flatMap(({ changes }) => changes).filter(({ type }) => type === "turn_ended").length;
  await eventually(() => crashing.lost.length > 0 || ended() === KEYS.length);
  await ticks(20);
  // The crash cuts off replies after this point.
  const heard = new Map(acknowledged);
  const seenBefore = [...seen];
  await within(clock, first.stop({ kill: true }));
  await within(clock, reading);
  const journal = await crashing.left();
  const second = await within(clock, run({ fake, journal, clock }, [{ name }]));
  const ends = new Map<string, string>();
  for (const [key, id] of heard) {
    const turn = await second.session(name).turn(id);
    const end = turn?.result().then(
      ({ text }) => text,
      (error: { code: string }) => error.code,
    );
    ends.set(key, (await within(clock, end ?? Promise.resolve("lost"))) ?? "");
    expect(await within(clock, second.session(name).enqueue(key, { idempotencyKey: key })), key).toBe(id);
  }
  const record = await collect(second.session(name).events({ live: false }));
  await within(clock, second.stop());
  expect(fake.errors).toEqual([]);
  expect(fake.running).toEqual([]);
  return { crashing, answered, heard, ends, record, seen: seenBefore };
}

/** Checks that the record of both applications is one: without gaps, with one beginning and one end of each turn. */
function checkRecord(record: readonly SessionEvent[], seen: readonly SessionEvent[], turns: Iterable<string>): void {
  expect(record.map(({ number }) => number)).toEqual(record.map((_, index) => index + 1));
  // What a reader of the first application has seen has not become something else.
  const written = seen.filter(({ number }) => number !== undefined);
  expect(record.slice(0, written.length)).toEqual(written);
  const ofTurns = record.filter((event) => event.type.startsWith("turn_"));
  const byTurn = Map.groupBy(ofTurns, (event) => ("turnId" in event ? event.turnId : undefined));
  for (const id of turns) {
    const types = (byTurn.get(id) ?? []).map(({ type }) => type.slice("turn_".length));
    // A turn that runs again after the crash has begun twice.
    expect(types.join(" ")).toMatch(/^accepted (started retried ){0,2}started ended$|^accepted ended$/);
  }
  for (const [id, events] of byTurn) {
    expect(
      events.filter(({ type }) => type === "turn_accepted"),
      id,
    ).toHaveLength(1);
    expect(
      events.filter(({ type }) => type === "turn_ended"),
      id,
    ).toHaveLength(1);
  }
}

test("Journal: a crash at any batch ends each acknowledged turn once and answers none twice", async () => {
  const whole = await crashAt(Number.POSITIVE_INFINITY);
  expect([...whole.ends.values()]).toEqual(KEYS.map((key) => `re: ${key}`));
  const batches = whole.crashing.taken.length;
  checkRecord(whole.record, whole.seen, whole.heard.values());
  expect(batches).toBeGreaterThan(5);
  let cut = 0;
  for (let n = 0; n < batches; n++) {
    const { crashing, answered, heard, ends, record, seen } = await crashAt(n);
    checkRecord(record, seen, heard.values());
    const at = `crash at batch ${n}, acknowledged ${[...heard.keys()]}`;
    for (const [key, end] of ends) {
      expect([`re: ${key}`, "TURN_INTERRUPTED"], `${at}: ${key}`).toContain(end);
      if (end === "TURN_INTERRUPTED") cut += 1;
      // The unwritten batch said that Claude had begun, or was done, and the fake has no transcript to tell it.
      const tells = key === "touches" ? "turn_touched" : "turn_ended";
      const untold = crashing.lost.some((change) => change.type === tells);
      const times = answered.filter((prompt) => prompt === key).length;
      expect(times, `${at}: ${key}`).toBeLessThanOrEqual(untold ? 2 : 1);
      if (end !== "TURN_INTERRUPTED") expect(times, `${at}: ${key}`).toBeGreaterThan(0);
    }
  }
  expect(cut).toBeGreaterThan(0);
});

/** The same for turns without an idempotency key, asked one after the other. */
async function crashPlainAt(batches: number) {
  const [clock, name] = [new SimulatedClock(), unique()];
  const fake = fakeClaude((turn) => turn.text(`re: ${turn.prompt}`));
  const crashing = new CrashingJournal(batches);
  const first = await within(clock, run({ fake, journal: crashing.journal, clock }, [{ name }]));
  const heard: string[] = [];
  const asking = (async () => {
    for (const key of KEYS) {
      await first.session(name).query(key);
      heard.push(key);
    }
  })().catch(() => {});
  await eventually(() => crashing.lost.length > 0 || heard.length === KEYS.length);
  await ticks(20);
  // The crash cuts off replies after this point.
  const before = [...heard];
  const prompted = fake.processes.flatMap(({ prompts }) => prompts).length;
  await within(clock, first.stop({ kill: true }));
  await asking;
  const second = await within(clock, run({ fake, journal: await crashing.left(), clock }, [{ name }]));
  await within(clock, second.query(name, "after"));
  const { conversationId = "" } = second.session(name).status();
  await within(clock, second.stop());
  expect(fake.errors).toEqual([]);
  return {
    crashing,
    prompted,
    heard: before,
    said: fake.transcript(conversationId).map(({ role, text }) => `${role}: ${text}`),
  };
}

test("Journal: a crash at any batch leaves each answered prompt in the conversation once", async () => {
  const exchange = (key: string): string[] => [`user: ${key}`, `assistant: re: ${key}`];
  const whole = await crashPlainAt(Number.POSITIVE_INFINITY);
  expect(whole.said).toEqual([...KEYS, "after"].flatMap(exchange));
  for (let n = 0; n < whole.crashing.taken.length; n++) {
    const { crashing, heard, prompted, said } = await crashPlainAt(n);
    const at = `crash at batch ${n}, answered ${heard}`;
    expect(said.slice(0, 2 * heard.length), at).toEqual(heard.flatMap(exchange));
    expect(said.slice(-2), at).toEqual(exchange("after"));
    // At most the one running turn went ahead of the journal.
    expect(prompted - heard.length, at).toBeLessThanOrEqual(1);
    const more = said.slice(2 * heard.length, -2);
    expect([[], exchange(KEYS[heard.length] ?? "")], `${at}, lost ${JSON.stringify(crashing.lost)}`).toContainEqual(
      more,
    );
  }
});
