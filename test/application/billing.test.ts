import { describe, expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { type FakeScript, type FakeTurn, fakeClaude } from "../../src/testing/index.ts";
import { run } from "../session-on-fake/application.ts";
import { eventually, failure, Scene, ticks, unique, within } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

const CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.";

/** An API that rejects every turn until the account has credit. */
class Account {
  pays = false;
  readonly script: FakeScript = async (turn: FakeTurn) => {
    if (this.pays) await turn.text([...turn.history.map(({ text }) => text), turn.prompt].join(" | "));
    else await turn.fail({ status: 402 });
  };
}

describe("Account without credit", () => {
  test.each([
    ["402", { status: 402 }],
    ["402 for credit", { status: 402, message: CREDIT }],
    ["400 for credit", { status: 400, message: CREDIT }],
    ["a limit without a reset", { status: 400, message: "You have reached your specified API usage limits." }],
  ])("rejects the turn that meets it (%s), and holds the later ones", async (_, error) => {
    const clock = new SimulatedClock();
    await using scene = await Scene.open({ clock, script: (turn) => turn.fail(error) });
    const { details } = await failure(query(scene.name, "one"), "TURN_FAILED");
    expect(details).toMatchObject({ class: "billing", status: error.status, retryAt: 15_000, partialText: "" });
    const later = scene.session.stream("two");
    await ticks(5);
    expect(scene.session.status()).toMatchObject({
      state: "waiting",
      waitingFor: { for: "billing", until: 15_000 },
      mailbox: 1,
      restarts: 0,
    });
    expect((await scene.session.health()).status).toBe("degraded");
    await later.interrupt();
    expect(scene.fake.processes[0]?.prompts).toEqual(["one"]);
  });

  test("is retried with the next held turn, which keeps its place", async () => {
    const clock = new SimulatedClock();
    const account = new Account();
    await using scene = await Scene.open({ clock, script: account.script, session: { queueTimeout: "1d" } });
    account.pays = true;
    await query(scene.name, "before");
    account.pays = false;
    await failure(query(scene.name, "finds out"), "TURN_FAILED");
    const turns = ["two", "three"].map((prompt) => stream(scene.name, prompt));
    const tries = (): string[] => scene.fake.processes.flatMap(({ prompts }) => prompts).slice(2);
    const waits: (number | undefined)[] = [];
    for (let tried = 0; tried < 4; tried++) {
      const { waitingFor } = scene.session.status();
      waits.push(waitingFor?.until === undefined ? undefined : waitingFor.until - clock.now());
      await clock.advance(waits.at(-1) ?? 0);
      await eventually(() => tries().length === tried + 1 && scene.session.status().state === "waiting");
      expect(turns.map(({ state }) => state)).toEqual(["queued", "queued"]);
      expect(scene.session.status()).toMatchObject({ waitingFor: { for: "billing" }, mailbox: 2, restarts: 0 });
    }
    expect(waits).toEqual([15_000, 30_000, 60_000, 120_000]);
    expect(tries()).toEqual(["two", "two", "two", "two"]);
    account.pays = true;
    const texts = await within(clock, Promise.all(turns.map(async (turn) => (await turn.result()).text)));
    // The prompt is in the conversation once, despite its retries.
    expect(texts[0]?.match(/two/g)).toHaveLength(1);
    expect(texts[1]).toMatch(/^before \| before \|.* two \| .* \| three$/);
    expect(tries()).toEqual(["two", "two", "two", "two", "two", "three"]);
    expect(scene.session.status().waitingFor).toBeUndefined();
    const results: number[] = [];
    for await (const { message, attempt } of turns[0]?.messages() ?? []) {
      if (message.type === "result") results.push(attempt);
    }
    expect(results).toEqual([1]);
  });

  test("does not count retries as attempts of their turns", async () => {
    const clock = new SimulatedClock();
    const account = new Account();
    let crashes = 0;
    const script: FakeScript = async (turn) => {
      if (!account.pays || turn.prompt !== "two" || crashes === 2) return await account.script(turn);
      crashes++;
      return await turn.crash();
    };
    await using scene = await Scene.open({ clock, script, session: { queueTimeout: "1d" } });
    await failure(query(scene.name, "one"), "TURN_FAILED");
    const turn = stream(scene.name, "two");
    for (let tried = 1; tried <= 5; tried++) {
      await clock.advance((scene.session.status().waitingFor?.until ?? 0) - clock.now());
      await eventually(() => scene.fake.processes.length === tried + 2 && scene.session.status().state === "waiting");
    }
    account.pays = true;
    expect((await within(clock, turn.result())).text).toContain("two");
    expect(crashes).toBe(2);
  });

  test("lets held turns be interrupted and time out, also during a retry", async () => {
    const clock = new SimulatedClock();
    const tried = Promise.withResolvers<FakeTurn>();
    const script: FakeScript = async (turn) => {
      if (turn.prompt !== "late") return await turn.fail({ status: 402 });
      tried.resolve(turn);
      return await turn.hang();
    };
    await using scene = await Scene.open({ clock, script });
    await failure(query(scene.name, "finds out"), "TURN_FAILED");
    const late = stream(scene.name, "late", { timeout: "20s" });
    const queued = failure(query(scene.name, "queued", { queueTimeout: "40s" }), "QUEUE_TIMEOUT");
    await clock.advance(15_000);
    await tried.promise;
    await clock.advance(5_000);
    await failure(late.result(), "TURN_TIMEOUT");
    await within(clock, queued);
    const stopped = stream(scene.name, "stopped");
    await stopped.interrupt();
    await failure(stopped.result(), "TURN_CANCELLED");
  });

  test("rejects a held turn with QUEUE_TIMEOUT at its `queueTimeout`, also during a retry", async () => {
    const clock = new SimulatedClock();
    const open = Promise.withResolvers<void>();
    const script: FakeScript = async (turn) => {
      if (turn.prompt === "two") await open.promise;
      await turn.fail({ status: 402 });
    };
    await using scene = await Scene.open({ clock, script });
    await failure(query(scene.name, "one"), "TURN_FAILED");
    const late = failure(query(scene.name, "two", { queueTimeout: "20s" }), "QUEUE_TIMEOUT");
    await clock.advance(15_000);
    await eventually(() => scene.session.status().state === "busy");
    await clock.advance(10_000);
    open.resolve();
    expect((await late).message).toContain("billing");
    expect(scene.session.status().mailbox).toBe(0);
  });

  test("rejects the first turn after a hold, and doubles the next hold", async () => {
    const clock = new SimulatedClock();
    const account = new Account();
    await using scene = await Scene.open({ clock, script: account.script });
    for (const wait of [15_000, 30_000, 60_000]) {
      const { details } = await failure(query(scene.name, "now"), "TURN_FAILED");
      expect(details).toMatchObject({ class: "billing", retryAt: clock.now() + wait });
      await clock.advance(wait);
      await eventually(() => scene.session.status().state === "idle");
    }
    account.pays = true;
    expect((await query(scene.name, "now")).text).toContain("now");
  });

  test("rejects a turn that had begun to answer, with its partial text", async () => {
    const clock = new SimulatedClock();
    let turns = 0;
    const script: FakeScript = async (turn) => {
      if (turns++ > 0) await turn.text("so far");
      await turn.fail({ status: 402 });
    };
    await using scene = await Scene.open({ clock, script });
    await failure(query(scene.name, "one"), "TURN_FAILED");
    const { details } = await failure(within(clock, query(scene.name, "two")), "TURN_FAILED");
    expect(details).toMatchObject({ class: "billing", partialText: "so far" });
  });

  test("keeps a held turn of the journal queued over a restart of the application", async () => {
    const account = new Account();
    const both = { fake: fakeClaude(account.script), journal: memoryJournal(), clock: new SimulatedClock() };
    const name = unique();
    const first = await run(both, [{ name }]);
    await failure(first.query(name, "finds out"), "TURN_FAILED");
    const id = await first.session(name).enqueue("job", { queueTimeout: "1d" });
    await within(both.clock, first.stop());
    await both.clock.advance(1_000);
    const second = await run(both, [{ name }]);
    await eventually(() => second.session(name).status().waitingFor?.for === "billing");
    // The read of the journal follows all earlier writes.
    await second.session(name).usage();
    expect(await both.journal.turn(id)).toMatchObject({ state: "queued", attempts: 0 });
    expect((await second.session(name).turn(id))?.state).toBe("queued");
    account.pays = true;
    const turn = await second.session(name).turn(id);
    expect(
      (await within(both.clock, turn?.result() ?? Promise.reject(new Error("the turn is missing")))).text,
    ).toContain("job");
    await within(both.clock, second.stop());
    expect(both.fake.errors).toEqual([]);
  });
});

test("Usage limit: a reset in the error's words holds the mailbox until then", async () => {
  const clock = new SimulatedClock();
  const until = Date.UTC(1970, 0, 2);
  const message =
    "You have reached your specified workspace API usage limits. You will regain access on 1970-01-02 at 00:00 UTC.";
  await using scene = await Scene.open({
    clock,
    script: (turn) => (turn.index === 1 ? turn.fail({ status: 400, message }) : turn.text("fine")),
  });
  await query(scene.name, "before");
  const { details } = await failure(query(scene.name, "one"), "TURN_FAILED");
  expect(details).toMatchObject({ class: "quota", status: 400, retryAt: until });
  expect(details).not.toHaveProperty("until");
  const reply = query(scene.name, "two", { queueTimeout: "2d" });
  await clock.advance(until - clock.now() - 1);
  expect(scene.session.status()).toMatchObject({ state: "waiting", waitingFor: { for: "quota", until }, restarts: 0 });
  await clock.advance(1);
  expect((await reply).text).toBe("fine");
});

test.each([400, 403])("Disabled organisation (%i): quarantines the session", async (status) => {
  await using scene = await Scene.open({
    script: (turn) => turn.fail({ status, message: "This organization has been disabled." }),
  });
  expect((await failure(query(scene.name, "one"), "TURN_FAILED")).details).toMatchObject({ class: "auth", status });
  await failure(query(scene.name, "two"), "SESSION_QUARANTINED");
  expect(scene.fake.processes).toHaveLength(1);
});
