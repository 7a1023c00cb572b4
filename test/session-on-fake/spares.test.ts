import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { query, session } from "../../src/castellan.ts";
import { CastellanError } from "../../src/errors.ts";
import { type SessionOptions, template } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { eventually, failure, Scene, ticks, unique, within } from "./scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

/** A little more than the delay between a demand and the start of the next spare, in ms. */
const SPARE_DELAY_MS = 600;

/** Opens a scene with a template whose sessions share their options, and with spares. */
async function family(
  setting: {
    readonly options?: Omit<SessionOptions, "name">;
    readonly spares?: number;
    readonly maxProcesses?: number;
    readonly script?: FakeScript;
  } = {},
) {
  const { options = {}, spares = 4, maxProcesses, script = count } = setting;
  const [name, clock] = [unique("family"), new SimulatedClock()];
  const scene = await Scene.open({
    clock,
    script,
    children: [template(name, options)],
    options: { capacity: { spares, ...(maxProcesses === undefined ? {} : { maxProcesses }) } },
  });
  const ready = (): number => scene.supervisor.capacity().spares.ready;
  const fill = async (n: number): Promise<void> => {
    while (ready() < n) {
      await ticks(5);
      if (ready() < n) await clock.advance(SPARE_DELAY_MS);
    }
  };
  return { scene, clock, name, fill, status: () => scene.supervisor.capacity().spares };
}

test("Spares: sessions of a template start on a spare, each with its own conversation", async () => {
  const { scene, name, fill, status } = await family();
  await using _ = scene;
  await fill(1);
  const [spare] = scene.fake.running;
  expect((await query([name, 1], "hi")).text).toBe("0");
  expect(session([name, 1]).status()).toMatchObject({ pid: spare?.pid, starts: 1, restarts: 0 });
  expect(scene.fake.processes).toHaveLength(1);
  expect((await query([name, 1], "again")).text).toBe("2");
  expect(scene.transcript(session([name, 1]))).toHaveLength(4);
  await fill(1);
  expect((await query([name, 2], "hi")).text).toBe("0");
  expect(session([name, 2]).status().conversationId).not.toBe(session([name, 1]).status().conversationId);
  expect(status()).toMatchObject({ hits: 2, misses: {}, unused: {} });
});

test("Spares: a conversation that began on a spare continues after a kill, in a new process", async () => {
  const { scene, clock, name, fill, status } = await family();
  await using _ = scene;
  await fill(1);
  await query([name, 1], "hi");
  const { conversationId } = session([name, 1]).status();
  await fill(1);
  scene.fake.processes[0]?.kill("SIGKILL");
  expect((await within(clock, query([name, 1], "again"))).text).toBe("2");
  expect(session([name, 1]).status()).toMatchObject({ conversationId, restarts: 1 });
  expect(status()).toMatchObject({ hits: 1, misses: { conversation: 1 }, ready: 1 });
});

test("Spares: one spare serves one of several simultaneous sessions, and only one replaces it", async () => {
  const { scene, name, fill, status } = await family({ spares: 1 });
  await using _ = scene;
  await fill(1);
  const replies = await Promise.all([1, 2, 3].map((key) => query([name, key], "hi")));
  expect(replies.map(({ text }) => text)).toEqual(["0", "0", "0"]);
  expect(new Set([1, 2, 3].map((key) => session([name, key]).status().pid)).size).toBe(3);
  expect(status()).toMatchObject({ hits: 1, misses: { none_ready: 2 } });
  // The number of spares stays at its limit, however many sessions missed one.
  await fill(1);
  await ticks(20);
  expect(scene.supervisor.capacity()).toMatchObject({ processes: 4, spares: { ready: 1, starting: 0 } });
});

test("Spares: keep as many as were wanted at a time, and one of a template without demand", async () => {
  const { scene, clock, name, fill, status } = await family();
  await using _ = scene;
  await Promise.all([1, 2, 3].map((key) => query([name, key], "hi")));
  await fill(3);
  await clock.advance(5_000);
  await ticks(20);
  expect(status()).toMatchObject({ ready: 3, starting: 0 });
  await clock.advance(11 * 60_000);
  await fill(1);
  await eventually(() => scene.supervisor.capacity().processes === 4);
  await clock.advance(60_000);
  expect(status()).toMatchObject({ ready: 1, starting: 0 });
  expect(status().unused["expired"]).toBeGreaterThanOrEqual(3);
});

test("Spares: call the session's hooks and approvals, and have its model", async () => {
  const called: string[] = [];
  const hook = async (input: { readonly hook_event_name: string }): Promise<object> => {
    called.push(input.hook_event_name);
    return {};
  };
  const { scene, name, fill, status } = await family({
    options: { approvals: true, hooks: { PreToolUse: [{ hooks: [hook] }] }, model: "claude-sonnet-4-5" },
    script: async (turn) => {
      await turn.hook("PreToolUse", { tool_name: "Bash", tool_input: {}, tool_use_id: "t" });
      await turn.text((await turn.askPermission("Bash", { command: "date" })).behavior);
    },
  });
  await using _ = scene;
  await fill(1);
  const turn = session([name, 1]).stream("go");
  await eventually(() => session([name, 1]).approvals().length > 0);
  expect(session([name, 1]).status().state).toBe("waiting");
  session([name, 1]).approvals()[0]?.approve();
  expect((await turn.result()).text).toBe("allow");
  expect(called).toEqual(["PreToolUse"]);
  expect(scene.fake.processes[0]?.model).toBe("claude-sonnet-4-5");
  expect(status().hits).toBe(1);
});

test("Spares: do not serve a session with other options, and count the option as the reason", async () => {
  const [name, clock] = [unique("mixed"), new SimulatedClock()];
  const variants: Omit<SessionOptions, "name">[] = [
    { cwd: tmpdir() },
    { additionalDirectories: ["/srv"] },
    { env: { TOKEN: "other" } },
    { apiKey: "other" },
    { permissionMode: "acceptEdits" },
    { allowedTools: ["Bash"] },
    { systemPrompt: "Be brief." },
    { hooks: { Stop: [{ hooks: [async () => ({})] }] } },
    { approvals: true },
    { inheritEnv: ["OLDPWD"], env: { OLDPWD: "x" } },
  ];
  await using scene = await Scene.open({
    clock,
    script: count,
    children: [
      template(name),
      ...variants.map((options) => ({ ...options, name: unique(), activation: "lazy" as const })),
    ],
    options: { capacity: { spares: 1 } },
  });
  await clock.advance(SPARE_DELAY_MS);
  await eventually(() => scene.supervisor.capacity().spares.ready === 1);
  const spare = scene.fake.running[0]?.pid;
  for (const { name } of scene.supervisor.listSessions()) {
    await query(name, "hi");
    expect(session(name).status().pid).not.toBe(spare);
  }
  const { hits, misses } = scene.supervisor.capacity().spares;
  expect(hits).toBe(0);
  expect(misses).toEqual({
    "differs:cwd": 1,
    "differs:additionalDirectories": 1,
    "differs:env": 3,
    "differs:permissionMode": 1,
    "differs:allowedTools": 1,
    "differs:systemPrompt": 1,
    "differs:hooks": 1,
    "differs:approvals": 1,
  });
});

test("Spares: yield to a session that needs the slot, and return later", async () => {
  const { scene, clock, name, fill, status } = await family({ maxProcesses: 2 });
  await using _ = scene;
  await fill(1);
  await scene.supervisor.startSession({ name: unique(), model: "other" });
  expect(scene.supervisor.capacity()).toMatchObject({ processes: 2 });
  const late = scene.supervisor.startSession({ name: unique(), model: "another" });
  await within(clock, late);
  expect((await within(clock, query((await late).name, "hi"))).text).toBe("0");
  expect(status()).toMatchObject({ ready: 0, hits: 0, unused: { evicted: 1 } });
  await clock.advance(29_000);
  expect(scene.fake.processes).toHaveLength(3);
  // A spare may take a slot that a session of its kind can use.
  await scene.supervisor.terminateSession((await late).name);
  await clock.advance(2_000);
  await eventually(() => status().ready === 1);
  expect((await query([name, 1], "hi")).text).toBe("0");
  expect(status().hits).toBe(1);
  expect(scene.supervisor.capacity().processes).toBe(2);
});

test("Spares: a spare that dies is replaced without an effect on sessions", async () => {
  const { scene, name, fill, status } = await family();
  await using _ = scene;
  await fill(1);
  scene.fake.running[0]?.kill("SIGKILL");
  await eventually(() => status().ready === 0);
  expect((await query([name, 1], "hi")).text).toBe("0");
  expect((await query([name, 2], "hi")).text).toBe("0");
  await fill(1);
  expect(status()).toMatchObject({ hits: 0, unused: { failed: 1 } });
  expect(session([name, 1]).status().restarts).toBe(0);
});

test("Spares: a kind whose starts fail is retried, at growing intervals", async () => {
  const [name, clock] = [unique("broken"), new SimulatedClock()];
  let starts = 0;
  await using scene = await Scene.open({
    clock,
    fake: {
      startup: async (start) => {
        starts += 1;
        await start.crash({ code: 1 });
      },
    },
    children: [template(name)],
    options: { capacity: { spares: 2 } },
  });
  await clock.advance(SPARE_DELAY_MS);
  await eventually(() => scene.supervisor.capacity().spares.unused["failed"] === 1);
  const seen: number[] = [];
  for (let second = 0; second < 130; second++) {
    await clock.advance(1_000);
    await ticks(5);
    if (seen.at(-1) !== starts) seen.push(starts);
  }
  // After 1, 2, 4, 8, 16, 32 and 64 seconds.
  expect(starts).toBe(8);
  expect(seen).toEqual([2, 3, 4, 5, 6, 7, 8]);
  expect(scene.supervisor.capacity()).toMatchObject({ processes: 0, spares: { ready: 0, starting: 0 } });
});

test("Spares: count options that exclude a spare as the reason", async () => {
  const clock = new SimulatedClock();
  const options: Omit<SessionOptions, "name">[] = [
    { settingSources: ["project"] },
    { hooks: { SessionStart: [{ hooks: [async () => ({})] }] } },
    { sessionId: "7b0c4a7e-5f4e-4f4e-9d7e-2d7f0a1c9b11" },
    { sessionStore: { append: async () => {}, load: async () => null } },
  ];
  await using scene = await Scene.open({
    clock,
    script: count,
    children: options.map((one) => ({ ...one, name: unique() })),
    options: { capacity: { spares: 2 } },
  });
  expect(scene.supervisor.capacity().spares).toMatchObject({
    hits: 0,
    misses: { setting_sources: 1, start_hooks: 1, session_id: 1, session_store: 1 },
  });
});

test("Spares: stop a claimed spare and free its slot when the session's start fails", async () => {
  const [family, name, clock, journal] = [unique("family"), unique("broken"), new SimulatedClock(), memoryJournal()];
  const fake = fakeClaude(count, { startup: (process, n) => (n === 1 ? process.crash({ code: 1 }) : undefined) });
  const supervisor = await run({ fake, journal, clock }, [template(family), { name }], {
    maxRestarts: 0,
    capacity: { spares: 1 },
  });
  expect(session(name).status().state).toBe("quarantined");
  while (supervisor.capacity().spares.ready === 0) {
    await clock.advance(SPARE_DELAY_MS);
    await ticks(5);
  }
  const { sessions } = journal;
  journal.sessions = async () => {
    throw new CastellanError("JOURNAL_UNAVAILABLE", "broken", { details: { reason: "damaged" } });
  };
  await within(
    clock,
    supervisor.restartSession(name).catch(() => {}),
  );
  expect(supervisor.capacity().spares.hits).toBe(1);
  await eventually(() => fake.running.length === 0 && supervisor.capacity().processes === 0);
  journal.sessions = sessions;
  await within(clock, supervisor.restartSession(name));
  expect((await query(name, "hi")).text).toBe("0");
  await within(clock, supervisor.stop());
  expect(fake.running).toEqual([]);
});

test("capacity.spares: 0 starts nothing ahead, and a negative number is rejected", async () => {
  const { scene, clock, name } = await family({ spares: 0 });
  await using _ = scene;
  await query([name, 1], "hi");
  await clock.advance(60_000);
  expect(scene.fake.processes).toHaveLength(1);
  expect(scene.supervisor.capacity().spares).toEqual({ ready: 0, starting: 0, hits: 0, misses: {}, unused: {} });
  await failure(Scene.open({ options: { capacity: { spares: -1 } } }), "INVALID_OPTIONS");
});
