import { afterEach, describe, expect, test, vi } from "vitest";
import { query, session, stream } from "../../src/castellan.ts";
import { on } from "../../src/events.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { type FakeProcess, type FakeScript, type FakeTurn, fakeClaude } from "../../src/testing/index.ts";
import { collectEvents } from "../telemetry/published-events.ts";
import { expectNothingLeft, run, said } from "./application.ts";
import { collect, eventually, failure, Scene, type Setting, unique } from "./scene.ts";

const KEY = "CASTELLAN_TEST_ROTATED";

const keyOf = ({ env }: FakeProcess): string => env["ANTHROPIC_API_KEY"] ?? "";

afterEach(() => vi.unstubAllEnvs());

/** How a refused key shows: Claude Code announces a retry and goes on retrying, or reports the refusal in a result. */
const refusals: { readonly [How in "announced" | "at once"]: (turn: FakeTurn, status?: number) => Promise<void> } = {
  announced: async (turn, status = 401) => {
    const facts = { attempt: 1, max_retries: 10, retry_delay_ms: 500, error_status: status };
    await turn.emit({ type: "system", subtype: "api_retry", ...facts, error: "authentication_failed" });
    await turn.hang();
  },
  "at once": (turn, status = 401) => turn.fail({ status }),
};

/** Answers with the conversation's length and the key. `good` accepts keys, `meanwhile` runs before a refusal. */
function api(
  good: (key: string) => boolean,
  how: keyof typeof refusals = "announced",
  meanwhile: (turn: FakeTurn) => void | Promise<void> = () => {},
): FakeScript {
  return async (turn) => {
    if (good(keyOf(turn.process))) return turn.text(`${turn.history.length} with ${keyOf(turn.process)}`);
    await meanwhile(turn);
    await refusals[how](turn);
  };
}

const isNew = (key: string): boolean => key === "new";

/** Opens a session whose process has the key "old". */
function opened(setting: Setting): Promise<Scene> {
  vi.stubEnv(KEY, "old");
  return Scene.open({ ...setting, session: { apiKey: { env: KEY }, ...setting.session } });
}

describe.each(["announced", "at once"] as const)("apiKey: a key that is refused, %s", (how) => {
  test("restarts the process and its turn when the key has changed, without a counted restart", async () => {
    using rekeyed = collectEvents("castellan:session:rekey");
    await using scene = await opened({
      script: api((key) => key === "new" || stillGood, how),
      // A single counted restart would quarantine the session.
      options: { maxRestarts: 0 },
    });
    let stillGood = true;
    expect((await query(scene.name, "one")).text).toBe("0 with old");
    stillGood = false;
    vi.stubEnv(KEY, "new");
    const turn = stream(scene.name, "two");
    const queued = query(scene.name, "three");
    expect((await collect(turn.text())).join("")).toBe("2 with new");
    expect(await turn.toResponse().text()).not.toMatch(/event: (retry|error)/);
    expect((await queued).text).toBe("4 with new");
    expect(scene.transcript().filter((said) => said.includes("two"))).toEqual(["user: two"]);
    expect(scene.session.status()).toMatchObject({ state: "idle", starts: 2, restarts: 0 });
    expect(scene.session.status().lastExit).toBeUndefined();
    expect(scene.fake.processes.map(({ prompts }) => prompts)).toEqual([
      ["one", "two"],
      ["two", "three"],
    ]);
    expect(rekeyed.heard).toMatchObject([{ session: scene.name }]);
  });

  test("restarts the first turn of a conversation", async () => {
    await using scene = await opened({ script: api(isNew, how) });
    vi.stubEnv(KEY, "new");
    const turn = stream(scene.name, "one");
    expect((await turn.result()).text).toBe("0 with new");
    expect(scene.transcript()).toEqual(["user: one", "assistant: 0 with new"]);
    // The first attempt has no result message.
    const results = (await collect(turn.messages())).filter(({ message }) => message.type === "result");
    expect(results.map(({ attempt }) => attempt)).toEqual([2]);
  });

  test("tries each key once, and quarantines the session after the last", async () => {
    await using scene = await opened({ script: api(() => false, how) });
    vi.stubEnv(KEY, "wrong");
    const error = await failure(query(scene.name, "one"), "TURN_FAILED");
    expect(error.details).toMatchObject({ class: "auth", partialText: "" });
    expect(error.message).toMatch(/; this key replaced one that was refused before\.$/);
    const aside = await failure(query(scene.name, "two"), "SESSION_QUARANTINED");
    expect(aside.details.lastExits.map((exit) => exit.class)).toEqual(["auth"]);
    expect(aside.message).toContain("replaced one that was refused before");
    expect(scene.fake.processes.map(keyOf)).toEqual(["old", "wrong"]);
  });

  test("tries again when the key changes again", async () => {
    const next: Record<string, string> = { old: "wrong", wrong: "new" };
    await using scene = await opened({
      script: api(isNew, how, ({ process }) => void vi.stubEnv(KEY, next[keyOf(process)])),
    });
    expect((await query(scene.name, "one")).text).toBe("0 with new");
    expect(scene.fake.processes.map(keyOf)).toEqual(["old", "wrong", "new"]);
    expect(scene.session.status()).toMatchObject({ state: "idle", restarts: 0 });
  });

  test("ends a turn after three refused keys, and the next turn takes the next key", async () => {
    let n = 0;
    await using scene = await opened({
      script: api(
        (key) => key === "key 3",
        how,
        () => void vi.stubEnv(KEY, `key ${++n}`),
      ),
    });
    const error = await failure(query(scene.name, "one"), "TURN_FAILED");
    expect(error.message).toMatch(/; the key has changed since, and the next turn has the new one\.$/);
    expect((await query(scene.name, "two")).text).toBe("0 with key 3");
    expect(scene.fake.processes.map(keyOf)).toEqual(["old", "key 1", "key 2", "key 3"]);
    expect(scene.session.status()).toMatchObject({ state: "idle", restarts: 0 });
  });

  test("ends a turn in which Claude has begun to answer, and the session continues", async () => {
    await using scene = await opened({
      session: { onInterruptedTurn: "retry" },
      script: api(isNew, how, async (turn) => {
        await turn.toolUse("Bash", { command: "make" }, { result: "made" });
        vi.stubEnv(KEY, "new");
      }),
    });
    const error = await failure(query(scene.name, "one"), "TURN_FAILED");
    expect(error.details).toMatchObject({ class: "auth", status: 401, toolUses: [{ name: "Bash" }] });
    expect(error.message).toMatch(/; the key has changed since, and the next turn has the new one\.$/);
    expect((await query(scene.name, "two")).text).toMatch(/with new$/);
    expect(scene.fake.processes).toHaveLength(2);
    expect(scene.session.status()).toMatchObject({ state: "idle", restarts: 0 });
  });

  test('retries even with `onInterruptedTurn: "fail"`, because the turn has done nothing', async () => {
    await using scene = await opened({ session: { onInterruptedTurn: "fail" }, script: api(isNew, how) });
    vi.stubEnv(KEY, "new");
    expect((await query(scene.name, "one")).text).toBe("0 with new");
  });

  test("does not count a removed key as changed", async () => {
    await using scene = await opened({ script: api(() => false, how) });
    vi.stubEnv(KEY, "");
    const error = await failure(query(scene.name, "one"), "TURN_FAILED");
    expect(error.message).not.toMatch(/place|changed/);
    await failure(query(scene.name, "two"), "SESSION_QUARANTINED");
    expect(scene.fake.processes).toHaveLength(1);
  });

  test.each(["interrupt", "signal"])("does not retry a turn that its caller stops at that moment (%s)", async (by) => {
    const abort = new AbortController();
    await using scene = await opened({ script: api(isNew, how) });
    vi.stubEnv(KEY, "new");
    const turn = stream(scene.name, "one", { signal: abort.signal });
    const end = on("castellan:session:rekey", () => (by === "signal" ? abort.abort() : void turn.interrupt()));
    await failure(turn.result(), "TURN_INTERRUPTED");
    end();
    expect((await query(scene.name, "two")).text).toBe("0 with new");
    expect(scene.fake.processes.map(({ prompts }) => prompts)).toEqual([["one"], ["two"]]);
  });

  test("leaves the turn in the journal until it is answered, and its idempotency key returns one reply", async () => {
    const both = { fake: fakeClaude(api(isNew, how)), journal: memoryJournal() };
    const name = unique();
    vi.stubEnv(KEY, "old");
    const children = [{ name, apiKey: { env: KEY } }];
    const first = await run(both, children);
    vi.stubEnv(KEY, "new");
    const id = await first.session(name).enqueue("one", { idempotencyKey: "order" });
    expect(await first.session(name).enqueue("one", { idempotencyKey: "order" })).toBe(id);
    const reply = await first.query(name, "one", { idempotencyKey: "order" });
    expect(reply.text).toBe("0 with new");
    expect(await both.journal.turn(id)).toMatchObject({ state: "completed", attempts: 2 });
    const { conversationId } = first.session(name).status();
    await first.stop();
    // The conversation began with the new key.
    await using second = await run(both, children);
    expect(await second.query(name, "one", { idempotencyKey: "order" })).toEqual(reply);
    expect((await second.query(name, "two")).text).toBe("2 with new");
    expect(said(both.fake, conversationId).filter((line) => line === "user: one")).toHaveLength(1);
    await second.stop();
    expectNothingLeft(both.fake);
  });
});

test("apiKey: the next application runs a turn that waited for the process with the changed key", async () => {
  const name = unique();
  const fake = fakeClaude(api(isNew), { startup: (_, n) => (n === 2 ? new Promise(() => {}) : undefined) });
  const both = { fake, journal: memoryJournal() };
  vi.stubEnv(KEY, "old");
  const children = [{ name, apiKey: { env: KEY } }];
  const first = await run(both, children);
  vi.stubEnv(KEY, "new");
  const id = await first.session(name).enqueue("one");
  await eventually(() => fake.processes.length === 2);
  await expect.poll(() => both.journal.turn(id)).toMatchObject({ state: "queued", attempts: 1, touched: false });
  await first.stop();
  await using second = await run(both, children);
  const turn = await second.session(name).turn(id);
  expect((await turn?.result())?.text).toBe("0 with new");
  expect(await both.journal.turn(id)).toMatchObject({ state: "completed", attempts: 2 });
  await second.stop();
  expectNothingLeft(fake);
});

test.each([403, 402])("apiKey: a result with status %i restarts the turn with the changed key", async (status) => {
  await using scene = await opened({
    script: async (turn) => {
      if (isNew(keyOf(turn.process))) await turn.text("fine");
      else await turn.fail({ status });
    },
  });
  vi.stubEnv(KEY, "new");
  expect((await query(scene.name, "one")).text).toBe("fine");
});

test.each([
  ["ANTHROPIC_API_KEY", {}],
  ["ANTHROPIC_AUTH_TOKEN", {}],
  ["CLAUDE_CODE_OAUTH_TOKEN", {}],
  ["ANTHROPIC_CUSTOM_HEADERS", {}],
  ["AWS_SESSION_TOKEN", { inheritEnv: ["AWS_*"] }],
  ["GOOGLE_APPLICATION_CREDENTIALS", { inheritEnv: true }],
] as const)("apiKey: a changed %s of the host restarts the turn", async (variable, own) => {
  vi.stubEnv(variable, "old");
  await using scene = await Scene.open({
    session: own,
    script: (turn) => (turn.process.env[variable] === "new" ? turn.text("fine") : refusals.announced(turn)),
  });
  vi.stubEnv(variable, "new");
  expect((await query(scene.name, "one")).text).toBe("fine");
  expect(scene.session.status()).toMatchObject({ state: "idle", starts: 2 });
});

test("apiKey: changes of other or non-inherited variables restart nothing", async () => {
  await using scene = await opened({ script: api(() => false) });
  vi.stubEnv("ANTHROPIC_MODEL", "another");
  vi.stubEnv("ANTHROPIC_API_KEY", "the host's");
  vi.stubEnv("AWS_SESSION_TOKEN", "another");
  await failure(query(scene.name, "one"), "TURN_FAILED");
  await failure(query(scene.name, "two"), "SESSION_QUARANTINED");
  expect(scene.fake.processes).toHaveLength(1);
});

test("apiKey: a refusal while the session is idle restarts the process without a counted restart", async () => {
  await using scene = await opened({
    script: async (turn) => {
      if (turn.prompt === "one") {
        turn.afterResult(async () => {
          vi.stubEnv(KEY, "new");
          const facts = { attempt: 1, max_retries: 10, retry_delay_ms: 500, error_status: 401 };
          await turn.emit({ type: "system", subtype: "api_retry", ...facts, error: "authentication_failed" });
        });
      }
      await turn.text(`${turn.history.length} with ${keyOf(turn.process)}`);
    },
  });
  await query(scene.name, "one");
  await scene.fake.started(2);
  expect((await query(scene.name, "two")).text).toBe("2 with new");
  expect(scene.session.status()).toMatchObject({ starts: 2, restarts: 0 });
});

test("apiKey: one refusal replaces all processes with the same key, and no others", async () => {
  const names = ["asked", "idle", "busy", "other"].map(unique) as [string, string, string, string];
  const [asked, idle, busy, other] = names;
  const [gate, OTHER] = [Promise.withResolvers<void>(), "CASTELLAN_TEST_OTHER"];
  vi.stubEnv(KEY, "old");
  vi.stubEnv(OTHER, "old other");
  let revoked = false;
  await using scene = await Scene.open({
    children: names.map((name) => ({ name, apiKey: { env: name === other ? OTHER : KEY } })),
    script: async (turn) => {
      if (turn.prompt === "long") await gate.promise;
      if (revoked && turn.prompt !== "long" && !keyOf(turn.process).includes("new")) return refusals.announced(turn);
      await turn.text(keyOf(turn.process));
    },
  });
  const long = query(busy, "long");
  await scene.fake.prompted(1);
  vi.stubEnv(KEY, "new");
  vi.stubEnv(OTHER, "new other");
  revoked = true;
  expect((await query(asked, "one")).text).toBe("new");
  await eventually(() => session(idle).status().starts === 2 && session(idle).status().state === "idle");
  expect((await query(idle, "one")).text).toBe("new");
  expect(session(busy).status()).toMatchObject({ state: "busy", starts: 1 });
  const next = query(busy, "next");
  gate.resolve();
  expect([(await long).text, (await next).text]).toEqual(["old", "new"]);
  expect(session(other).status()).toMatchObject({ state: "idle", starts: 1 });
  // Only the first session was refused.
  expect(scene.fake.processes.flatMap(({ prompts }) => prompts).filter((prompt) => prompt === "one")).toHaveLength(3);
});

test("apiKey: twelve simultaneous refusals restart twelve turns", async () => {
  const names = Array.from({ length: 12 }, () => unique());
  vi.stubEnv(KEY, "old");
  await using scene = await Scene.open({
    children: names.map((name) => ({ name, apiKey: { env: KEY } })),
    script: api(isNew),
  });
  vi.stubEnv(KEY, "new");
  const replies = await Promise.all(names.map((name) => query(name, "one")));
  expect(replies.map(({ text }) => text)).toEqual(names.map(() => "0 with new"));
  expect(scene.fake.processes).toHaveLength(24);
  for (const name of names) expect(session(name).status()).toMatchObject({ state: "idle", restarts: 0 });
});
