import { expect, test } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Batch } from "../../src/journal/model/change.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, failure, Scene, type Setting, ticks, within } from "./scene.ts";

/* An idle session's turn: its acceptance and its beginning are one write. */

/** A journal whose writes of a turn's beginning can be held up or fail. */
class Gate {
  readonly inner: Journal = memoryJournal();
  readonly written: string[][] = [];
  isSlow = false;
  /** Called before and after a batch with a beginning is written. */
  before: (() => Promise<void>) | undefined;
  after: (() => Promise<void>) | undefined;
  readonly journal: Journal = new Proxy(this.inner, {
    get: (target, property) => {
      if (property === "write") return (batch: Batch) => this.#write(batch);
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });

  async #write(batch: Batch): Promise<void> {
    const types = batch.changes.map((one) => (one.type === "turn_accepted" && one.begun ? "begun at once" : one.type));
    const begins = types.includes("turn_begun") || types.includes("begun at once");
    if (this.isSlow) await ticks(50);
    if (begins) await this.before?.();
    await this.inner.write(batch);
    this.written.push(types.filter((type) => type.startsWith("turn_") || type === "begun at once"));
    if (begins) await this.after?.();
  }
}

/** Opens a session that has had a turn, so that a prompt no longer changes its conversation. */
async function open(setting: Setting = {}) {
  const gate = new Gate();
  const options = { ...setting.options, journal: gate.journal };
  const opening = Scene.open({ ...setting, options });
  const scene = await (setting.clock instanceof SimulatedClock ? within(setting.clock, opening) : opening);
  const first = scene.session.query("first");
  await (setting.clock instanceof SimulatedClock ? within(setting.clock, first) : first);
  const prompts = (): readonly string[] => scene.fake.processes.flatMap((process) => process.prompts);
  return { gate, scene, prompts };
}

/** Holds up the next write of a beginning. `release` lets it through. */
function holdUp(gate: Gate) {
  const [reached, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  gate.before = async () => {
    gate.before = undefined;
    reached.resolve();
    await go.promise;
  };
  return { reached: reached.promise, release: () => go.resolve() };
}

test("Turn: the acceptance and the beginning of an idle session's turn are one write", async () => {
  const { gate, scene } = await open();
  await using _ = scene;
  expect(gate.written.flat().slice(0, 2)).toEqual(["turn_accepted", "turn_begun"]);
  await scene.session.query("second");
  expect(gate.written.flat().filter((type) => type === "begun at once")).toHaveLength(1);
  expect(gate.written).toContainEqual(["begun at once"]);
});

test.for([{ whenBusy: "interrupt" }, { whenBusy: "rollback" }] as const)(
  "Turn: %o is accepted before it begins",
  async (options) => {
    const { gate, scene } = await open();
    await using _ = scene;
    await scene.session.query("second", options);
    expect(gate.written.flat().filter((type) => type !== "turn_ended" && type !== "turn_touched")).toEqual([
      "turn_accepted",
      "turn_begun",
      "turn_accepted",
      "turn_begun",
    ]);
  },
);

test("Turn: the events of a turn are written before its prompt is sent while somebody reads the record", async () => {
  const { gate, scene } = await open({
    script: async (turn) => {
      for (let piece = 0; piece < 2_000; piece++) await turn.partial("x");
      await turn.text("");
    },
  });
  await using _ = scene;
  const reading = (async () => {
    let deltas = 0;
    for await (const event of scene.session.events()) {
      if (event.type === "text_delta") deltas += 1;
      if (event.type === "turn_ended") return deltas;
    }
    return deltas;
  })();
  gate.isSlow = true;
  await scene.session.query("second");
  expect(await reading).toBe(2_000);
  expect(gate.written).toContainEqual(["turn_begun"]);
});

test("Turn: a journal that refuses the write refuses the turn, which is not sent", async () => {
  const { gate, scene, prompts } = await open();
  await using _ = scene;
  gate.before = async () => {
    gate.before = undefined;
    throw new CastellanError("JOURNAL_UNAVAILABLE", "full", { details: { reason: "no_space", applied: false } });
  };
  const refused = scene.session.stream("second", { idempotencyKey: "two" });
  expect((await failure(refused.result(), "JOURNAL_UNAVAILABLE")).details).toEqual({
    reason: "no_space",
    applied: false,
  });
  expect(await gate.inner.turn(refused.id)).toBeUndefined();
  expect((await scene.session.query("third")).text).toBe("You said: third");
  expect((await scene.session.query("second", { idempotencyKey: "two" })).text).toBe("You said: second");
  expect(prompts()).toEqual(["first", "third", "second"]);
});

test("Turn: a write whose answer is lost is taken back, and the turn is not sent", async () => {
  const clock = new SimulatedClock();
  const { gate, scene, prompts } = await open({ clock });
  await using _ = scene;
  gate.after = async () => {
    throw new CastellanError("JOURNAL_UNAVAILABLE", "gone", { details: { reason: "unreachable" } });
  };
  const turn = scene.session.stream("second");
  const error = await within(clock, failure(turn.result(), "JOURNAL_UNAVAILABLE"));
  expect(error.details).toEqual({ reason: "unreachable" });
  gate.after = undefined;
  expect((await within(clock, scene.session.query("third"))).text).toBe("You said: third");
  expect(await gate.inner.turn(turn.id)).toBeUndefined();
  expect(prompts()).toEqual(["first", "third"]);
});

test("Turn: one that is cancelled during the write is not sent, and its record has its end", async () => {
  const { gate, scene, prompts } = await open();
  await using _ = scene;
  const write = holdUp(gate);
  const caller = new AbortController();
  const turn = scene.session.stream("second", { signal: caller.signal });
  await write.reached;
  caller.abort();
  write.release();
  await failure(turn.result(), "TURN_CANCELLED");
  expect((await scene.session.query("third")).text).toBe("You said: third");
  expect(prompts()).toEqual(["first", "third"]);
  expect(await gate.inner.turn(turn.id)).toMatchObject({ state: "cancelled" });
  const types = [];
  for await (const event of scene.session.events({ turn: turn.id, live: false })) types.push(event.type);
  expect(types).toEqual(["turn_accepted", "turn_ended"]);
});

test("Turn: one whose process dies during the write runs once, in the next process", async () => {
  const { gate, scene, prompts } = await open();
  await using _ = scene;
  const write = holdUp(gate);
  const turn = scene.session.stream("second");
  await write.reached;
  scene.fake.processes[0]?.crash();
  await eventually(() => scene.session.status().state !== "idle");
  write.release();
  expect((await turn.result()).text).toBe("You said: second");
  expect(prompts()).toEqual(["first", "second"]);
});

test("Turn: turns asked together begin one after the other, the first with its acceptance", async () => {
  const { gate, scene, prompts } = await open();
  await using _ = scene;
  const turns = ["a", "b", "c"].map((prompt) => scene.session.query(prompt));
  await Promise.all(turns);
  expect(prompts()).toEqual(["first", "a", "b", "c"]);
  const begun = gate.written.flat().filter((type) => type === "turn_begun" || type === "begun at once");
  expect(begun).toEqual(["turn_begun", "begun at once", "turn_begun", "turn_begun"]);
});

test("Turn: a supervisor that stops during the write takes back a turn of which no caller knows", async () => {
  const { gate, scene, prompts } = await open();
  await using _ = scene;
  const write = holdUp(gate);
  const turn = scene.session.stream("second", { idempotencyKey: "two" });
  await write.reached;
  const stopped = scene.supervisor.stop();
  await failure(turn.result(), "SUPERVISOR_STOPPED");
  write.release();
  await stopped;
  await ticks(5);
  expect(gate.written.flat().slice(-2)).toEqual(["turn_requeued", "turn_withdrawn"]);
  expect(prompts()).toEqual(["first"]);
});
