import { expect, test } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import type { Turn } from "../../src/session/streams/turn.ts";
import { Scene, ticks } from "./scene.ts";

/** Returns a seeded random number generator (mulberry32). */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

interface Asked {
  readonly prompt: string;
  readonly turn: Turn;
  readonly abort: AbortController;
  ends: number;
}

/** Error codes by the state in which a turn ends. */
const ENDS: Record<string, readonly string[]> = {
  completed: [],
  interrupted: ["TURN_INTERRUPTED"],
  cancelled: ["TURN_CANCELLED", "SESSION_QUARANTINED", "SUPERVISOR_STOPPED"],
  timed_out: ["TURN_TIMEOUT", "QUEUE_TIMEOUT"],
};

test.each(Array.from({ length: 10 }, (_, n) => n + 1))("Turns: end once in any order, seed %i", async (seed) => {
  const random = chance(seed);
  const asked: Asked[] = [];
  const failures: unknown[] = [];
  await using scene = await Scene.open({
    options: { maxRestarts: 1_000 },
    fake: { endOfInput: random(2) === 0 ? "exit" : "ignore" },
    session: { shutdown: 50 },
    script: async (turn) => {
      const steps = turn.message.uuid === undefined ? 0 : turn.prompt.length % 4;
      for (let step = 0; step < steps; step++) {
        await turn.partial("…");
        await ticks(1);
      }
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  const any = (): Asked | undefined => asked[random(Math.max(1, asked.length))];
  const ask = (): void => {
    const prompt = `${"#".repeat(random(4))}${asked.length}`;
    const abort = new AbortController();
    const timeout = random(8) === 0 ? random(10) : undefined;
    const turn = scene.session.stream(prompt, {
      signal: abort.signal,
      ...(timeout === undefined ? {} : { timeout }),
    });
    const one: Asked = { prompt, turn, abort, ends: 0 };
    const ended = (): void => {
      one.ends += 1;
    };
    turn.result().then(ended, ended);
    asked.push(one);
  };
  const crash = (): void => scene.fake.running[0]?.crash({ signal: "SIGKILL" });
  const restart = (): void => void scene.session.restart().catch((error: unknown) => failures.push(error));
  const events = [ask, ask, ask, ask, () => any()?.abort.abort(), () => void any()?.turn.interrupt(), crash, restart];
  for (let n = 0; n < 60; n++) {
    events[random(events.length)]?.();
    await ticks(random(6));
  }
  await Promise.allSettled(asked.map(({ turn }) => turn.result()));
  expect(failures).toEqual([]);

  for (const { prompt, turn, ends } of asked) {
    expect(ends).toBe(1);
    const outcome: unknown = await turn.result().catch((error: unknown) => error);
    if (turn.state === "completed")
      expect(outcome).toMatchObject({ text: `${"…".repeat(prompt.length % 4)}re: ${prompt}` });
    else expect(ENDS[turn.state], turn.state).toContain(CastellanError.is(outcome) ? outcome.code : String(outcome));
  }
  const completed = asked.filter(({ turn }) => turn.state === "completed").map(({ prompt }) => prompt);
  const told = scene.transcript().filter((line) => line.startsWith("user: "));
  const answered = told.map((line) => line.slice(6)).filter((prompt) => completed.includes(prompt));
  expect(answered, "each answered prompt is in the conversation once, in order").toEqual(completed);
  expect(scene.fake.running.length).toBeLessThanOrEqual(1);
  expect((await scene.session.query("the end")).text).toContain("the end");
});

test.each([1, 2, 3, 4, 5, 6])("whenBusy: ends each turn once, in any order of events, seed %i", async (seed) => {
  const random = chance(seed);
  const turns: { readonly prompt: string; readonly turn: Turn; ends: number }[] = [];
  await using scene = await Scene.open({
    options: { maxRestarts: 1_000 },
    session: { shutdown: 50 },
    script: async (turn) => {
      for (let step = random(4); step > 0; step--) {
        await turn.partial("…");
        await ticks(1);
      }
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  const ask = (): void => {
    const prompt = `${turns.length}`;
    const whenBusy = (["enqueue", "interrupt", "rollback"] as const)[random(3)] ?? "enqueue";
    const turn = scene.session.stream(prompt, { whenBusy });
    const one = { prompt, turn, ends: 0 };
    const ended = (): void => {
      one.ends += 1;
    };
    turn.result().then(ended, ended);
    turns.push(one);
  };
  const events = [
    ask,
    ask,
    ask,
    () => scene.fake.running[0]?.crash({ signal: "SIGKILL" }),
    () => void scene.session.restart().catch(() => {}),
  ];
  for (let n = 0; n < 40; n++) {
    events[random(events.length)]?.();
    await ticks(random(8));
  }
  await Promise.allSettled(turns.map(({ turn }) => turn.result()));
  const told = scene.transcript().filter((line) => line.startsWith("user: "));
  for (const { prompt, turn, ends } of turns) {
    expect(ends).toBe(1);
    const outcome: unknown = await turn.result().catch((error: unknown) => error);
    const times = told.filter((line) => line === `user: ${prompt}`).length;
    if (turn.state === "completed") {
      expect(outcome).toMatchObject({ text: expect.stringMatching(new RegExp(`re: ${prompt}$`)) });
      expect(times, `times that prompt ${prompt} stands`).toBe(1);
    } else {
      expect(outcome).toMatchObject({ code: "TURN_INTERRUPTED" });
      expect(times, `occurrences of prompt ${prompt}`).toBeLessThanOrEqual(1);
    }
  }
  expect((await scene.session.query("the end")).text).toContain("the end");
});

test.each(Array.from({ length: 10 }, (_, n) => n + 1))(
  "stop(): ends all turns and the process at a random moment, seed %i",
  async (seed) => {
    const random = chance(seed * 7919);
    const turns: Turn[] = [];
    await using scene = await Scene.open({
      options: { maxRestarts: 1_000 },
      session: { shutdown: 50 },
      script: async (turn) => {
        await turn.partial("…");
        await ticks(turn.prompt.length % 5);
        await turn.text(`re: ${turn.prompt}`);
      },
    });
    const ask = (): void => void turns.push(scene.session.stream("#".repeat(1 + random(9)), { timeout: "10s" }));
    const crash = (): void => scene.fake.running[0]?.crash({ signal: "SIGKILL" });
    const restart = (): void => void scene.session.restart().catch(() => {});
    const interrupt = (): void => void turns[random(Math.max(1, turns.length))]?.interrupt();
    const events = [ask, ask, ask, crash, restart, interrupt];
    const steps = 5 + random(20);
    for (let n = 0; n < steps; n++) {
      events[random(events.length)]?.();
      await ticks(random(5));
    }
    const { session } = scene;
    const stopped = random(2) === 0 ? session.stop() : scene.supervisor.stop();
    expect(() => session.stream("too late")).toThrow(/stopped|ended/);
    await stopped;
    for (const turn of turns) {
      await turn.result().catch(() => {});
      expect(["completed", "interrupted", "cancelled"]).toContain(turn.state);
    }
    expect(scene.fake.running).toEqual([]);
  },
);
