import { describe, expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import type { Session } from "../../src/session/session.ts";
import { type FakeScript, type FakeTurn, fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { expectNothingLeft, run } from "./application.ts";
import { eventually, failure, Scene, ticks, unique, within } from "./scene.ts";

type Play = (turn: FakeTurn) => Promise<void>;

/** Answers with the prompts that the conversation holds. */
const recite: Play = async (turn) => {
  const asked = turn.history.flatMap(({ role, text }) => (role === "user" ? [text] : []));
  await turn.text([...asked, turn.prompt].join(", "));
};

/** Plays the given part for a prompt with that first word, and recites otherwise. */
function model(others: Readonly<Record<string, Play>> = {}): FakeScript {
  return (turn) => (others[turn.prompt.split(" ")[0] ?? ""] ?? recite)(turn);
}

const overloaded = (turn: FakeTurn): Promise<void> => turn.fail({ status: 529 });
const tooLong = (turn: FakeTurn): Promise<void> =>
  turn.fail({ status: 400, message: "prompt is too long: 210000 tokens > 200000 maximum" });
const filtered = (turn: FakeTurn): Promise<void> =>
  turn.fail({ status: 400, message: "Output blocked by content filtering policy" });

/** Runs a tool whose result the API refuses. */
const poison = async (turn: FakeTurn): Promise<void> => {
  await turn.toolUse("Read", { file_path: "x" }, { result: "poison" });
  await filtered(turn);
};

describe("TurnUndoing: a turn that fails before Claude answers", () => {
  test("sends the prompt to the model once, however often the caller asks again", async () => {
    const clock = new SimulatedClock();
    let left = 3;
    const boom: Play = (turn) => (left-- > 0 ? overloaded(turn) : recite(turn));
    await using scene = await Scene.open({ clock, script: model({ boom }) });
    await within(clock, query(scene.name, "one"));
    for (let n = 0; n < 3; n++) {
      const error = await within(clock, failure(query(scene.name, "boom"), "TURN_FAILED"));
      expect(error.details).toMatchObject({ class: "overload", conversation: "undone" });
    }
    expect((await within(clock, query(scene.name, "boom"))).text).toBe("one, boom");
    expect((await within(clock, query(scene.name, "next"))).text).toBe("one, boom, next");
    // The same process undoes the turn, and the conversation stays.
    expect(scene.fake.processes).toHaveLength(1);
    expect(scene.session.status()).toMatchObject({ restarts: 0, faults: [] });
  });

  test.each(["refused", "hangs"] as const)(
    "is undone by another process when `rewind_conversation` %s",
    async (rewind) => {
      const clock = new SimulatedClock();
      await using scene = await Scene.open({ clock, fake: { rewind }, script: model({ boom: overloaded }) });
      const { sessionId } = await within(clock, query(scene.name, "one"));
      await within(clock, failure(query(scene.name, "boom"), "TURN_FAILED"));
      const next = await within(clock, query(scene.name, "next"));
      expect(next).toMatchObject({ text: "one, next", sessionId });
      expect(scene.fake.processes).toHaveLength(2);
      expect(scene.session.status().restarts).toBe(0);
    },
  );

  test("leaves an empty conversation empty, and a fork at its origin", async () => {
    const clock = new SimulatedClock();
    await using scene = await Scene.open({ clock, script: model({ boom: overloaded }) });
    await within(clock, failure(query(scene.name, "boom"), "TURN_FAILED"));
    expect((await within(clock, query(scene.name, "one"))).text).toBe("one");
    const fork = await scene.session.fork(unique("fork"));
    await within(clock, failure(fork.query("boom"), "TURN_FAILED"));
    expect((await within(clock, fork.query("two"))).text).toBe("one, two");
    expect((await within(clock, scene.session.query("three"))).text).toBe("one, three");
  });

  test("stays undone after a crash, a hibernation and a restart, and in a fork", async () => {
    const clock = new SimulatedClock();
    const begin: ((session: Session, scene: Scene) => Promise<unknown>)[] = [
      async (_, scene) => {
        scene.fake.processes.at(-1)?.crash();
        await eventually(() => scene.session.status().restarts === 1);
      },
      (session) => session.hibernate(),
      (session) => session.restart(),
    ];
    for (const end of begin) {
      await using scene = await Scene.open({ clock, script: model({ boom: filtered }) });
      await within(clock, query(scene.name, "one"));
      await within(clock, failure(query(scene.name, "boom"), "TURN_FAILED"));
      await within(clock, end(scene.session, scene));
      expect((await within(clock, query(scene.name, "next"))).text).toBe("one, next");
      await within(clock, failure(query(scene.name, "boom"), "TURN_FAILED"));
      const fork = await scene.session.fork(unique("fork"));
      expect((await within(clock, fork.query("forked"))).text).toBe("one, next, forked");
    }
  });

  test.each(["the process ended", "the process was killed too"])(
    "stays undone after a restart of the application when %s",
    async (how) => {
      const clock = new SimulatedClock();
      const both = { fake: fakeClaude(model({ boom: overloaded })), journal: memoryJournal(), clock };
      const name = unique();
      const first = await run(both, [{ name }]);
      await within(clock, first.query(name, "one"));
      await within(clock, failure(first.query(name, "boom"), "TURN_FAILED"));
      if (how.includes("killed")) both.fake.processes[0]?.kill("SIGKILL");
      await within(clock, first.stop());
      const second = await run(both, [{ name }]);
      expect((await within(clock, second.query(name, "next"))).text).toBe("one, next");
      await within(clock, second.stop());
      expectNothingLeft(both.fake);
    },
  );

  test("does not hold back the queued turns, which run in order", async () => {
    const clock = new SimulatedClock();
    await using scene = await Scene.open({ clock, script: model({ boom: overloaded }) });
    const turns = ["one", "boom", "two", "boom", "three"].map((prompt) =>
      query(scene.name, prompt).then(
        ({ text }) => text,
        (error: { code: string }) => error.code,
      ),
    );
    expect(await within(clock, Promise.all(turns))).toEqual([
      "one",
      "TURN_FAILED",
      "one, two",
      "TURN_FAILED",
      "one, two, three",
    ]);
    expect(scene.fake.processes).toHaveLength(1);
  });

  test("ends with TURN_FAILED when its process dies during the rewind", async () => {
    await using scene = await Scene.open({
      fake: { rewind: "hangs" },
      script: model({ boom: (turn) => turn.fail({ status: 400 }) }),
    });
    await query(scene.name, "one");
    const boom = stream(scene.name, "boom");
    for await (const message of boom) if (message.type === "result") break;
    expect(boom.state).toBe("running");
    scene.fake.processes[0]?.kill("SIGKILL");
    const error = await failure(boom.result(), "TURN_FAILED");
    expect(error.details).toMatchObject({ class: "request", conversation: "undone" });
    expect((await query(scene.name, "next")).text).toBe("one, next");
    expect(scene.fake.processes[1]?.prompts).toEqual(["next"]);
  });

  test("ends once when it times out, is interrupted or its session stops during the rewind", async () => {
    for (const stop of ["timeout", "interrupt", "stop"] as const) {
      const clock = new SimulatedClock();
      await using scene = await Scene.open({
        clock,
        fake: { rewind: "hangs" },
        script: model({ boom: (turn) => turn.fail({ status: 400 }) }),
      });
      await query(scene.name, "one");
      const boom = stream(scene.name, "boom", { timeout: 1_000 });
      for await (const message of boom) if (message.type === "result") break;
      if (stop === "timeout") await within(clock, failure(boom.result(), "TURN_TIMEOUT"));
      if (stop === "interrupt")
        await within(
          clock,
          boom.interrupt().then(() => failure(boom.result(), "TURN_TIMEOUT")),
        );
      if (stop === "stop")
        await within(
          clock,
          scene.supervisor.stop().then(() => failure(boom.result(), "TURN_INTERRUPTED")),
        );
      if (stop !== "stop") expect((await within(clock, query(scene.name, "next"))).text).toBe("one, next");
    }
  });

  test("is kept when Claude Code has begun a turn of its own after it, and the error says so", async () => {
    const own = Promise.withResolvers<void>();
    const boom = async (turn: FakeTurn): Promise<void> => {
      // Claude Code begins a turn of its own as soon as this one ends.
      turn.process.beginTurn(async (unprompted) => {
        await unprompted.text("I saw that the task has ended.");
        await own.promise;
      });
      await turn.fail({ status: 400 });
    };
    await using scene = await Scene.open({ script: model({ boom }) });
    await query(scene.name, "one");
    const error = await failure(query(scene.name, "boom"), "TURN_FAILED");
    expect(error.details.conversation).toBe("kept");
    expect(scene.session.status()).toMatchObject({ state: "busy", turn: { origin: "task" } });
    own.resolve();
    expect((await query(scene.name, "next")).text).toContain("one, boom, ");
    expect(scene.fake.processes).toHaveLength(1);
  });
});

describe("TurnUndoing: a turn that is stopped before Claude answers", () => {
  const stuck = { stuck: (turn: FakeTurn) => turn.hang() };

  test("is undone after a timeout, an interrupt and an aborted signal", async () => {
    const clock = new SimulatedClock();
    await using scene = await Scene.open({ clock, script: model(stuck) });
    await within(clock, query(scene.name, "one"));
    await within(clock, failure(query(scene.name, "stuck", { timeout: 1_000 }), "TURN_TIMEOUT"));
    expect((await within(clock, query(scene.name, "two"))).text).toBe("one, two");
    const turn = stream(scene.name, "stuck");
    await scene.fake.prompted(4);
    await eventually(() => turn.state === "running");
    await within(clock, turn.interrupt());
    const error = await failure(turn.result(), "TURN_INTERRUPTED");
    expect(error.details.conversation).toBe("undone");
    const abort = new AbortController();
    const third = query(scene.name, "stuck", { signal: abort.signal });
    await scene.fake.prompted(5);
    await ticks(5);
    abort.abort();
    await failure(third, "TURN_INTERRUPTED");
    expect((await within(clock, query(scene.name, "three"))).text).toBe("one, two, three");
    expect(scene.fake.processes).toHaveLength(1);
  });

  test('is kept for a turn with `whenBusy: "interrupt"`, and undone for one with "rollback"', async () => {
    await using scene = await Scene.open({ script: model(stuck) });
    await query(scene.name, "one");
    const first = query(scene.name, "stuck");
    await scene.fake.prompted(2);
    await ticks(5);
    const and = query(scene.name, "and", { whenBusy: "interrupt" });
    expect((await failure(first, "TURN_INTERRUPTED")).details.conversation).toBe("kept");
    expect((await and).text).toBe("one, stuck, [Request interrupted by user], and");
    const second = query(scene.name, "stuck");
    await scene.fake.prompted(4);
    await ticks(5);
    const instead = query(scene.name, "instead", { whenBusy: "rollback" });
    expect((await failure(second, "TURN_INTERRUPTED")).details.conversation).toBe("undone");
    expect((await instead).text).toBe("one, stuck, [Request interrupted by user], and, instead");
    expect(scene.fake.processes).toHaveLength(1);
  });
});

describe("TurnUndoing: a turn that fails after Claude has begun to answer", () => {
  test("stays in the conversation", async () => {
    const clock = new SimulatedClock();
    const boom = async (turn: FakeTurn): Promise<void> => {
      await turn.text("I have begun.");
      await overloaded(turn);
    };
    await using scene = await Scene.open({ clock, script: model({ boom }) });
    await within(clock, query(scene.name, "one"));
    const error = await within(clock, failure(query(scene.name, "boom"), "TURN_FAILED"));
    expect(error.details).toMatchObject({ class: "overload", conversation: "kept", partialText: "I have begun." });
    expect((await within(clock, query(scene.name, "next"))).text).toBe("one, boom, next");
  });

  test("is rolled back without another process", async () => {
    const stuck = async (turn: FakeTurn): Promise<void> => {
      await turn.toolUse("Bash", {}, { result: "done" });
      await turn.hang();
    };
    await using scene = await Scene.open({ script: model({ stuck }) });
    await query(scene.name, "one");
    const turn = stream(scene.name, "stuck");
    for await (const _ of turn.toolUses()) break;
    expect((await query(scene.name, "instead", { whenBusy: "rollback" })).text).toBe("one, instead");
    expect(scene.fake.processes).toHaveLength(1);
  });
});

describe("TurnUndoing: a turn whose content the API refuses", () => {
  test.each<[string, Play, string, string]>([
    ["too long a prompt", tooLong, `bad ${"word ".repeat(10_000)}`, "undone"],
    ["a refused prompt", filtered, "bad", "undone"],
    ["the result of a tool", poison, "bad", "cut_back"],
  ])("leaves the conversation usable: %s", async (_, bad, prompt, conversation) => {
    // The API refuses every request whose conversation holds it.
    const next: Play = (turn) => (turn.history.some(({ text }) => text.startsWith("bad")) ? filtered : recite)(turn);
    await using scene = await Scene.open({ script: model({ bad, next }) });
    await query(scene.name, "one");
    const error = await failure(query(scene.name, prompt), "TURN_FAILED");
    expect(error.details).toMatchObject({ class: "request", status: 400, conversation });
    expect((await query(scene.name, "next")).text).toBe("one, next");
    await scene.session.hibernate();
    expect((await query(scene.name, "next")).text).toBe("one, next, next");
    expect(scene.session.status().faults).toHaveLength(conversation === "cut_back" ? 1 : 0);
  });

  test("is reported by the error, the session's health and an event", async () => {
    await using scene = await Scene.open({ script: model({ poison }) });
    const events: SessionEvent[] = [];
    const reading = (async () => {
      for await (const event of scene.session.events()) events.push(event);
    })();
    await query(scene.name, "one");
    const error = await failure(query(scene.name, "poison"), "TURN_FAILED");
    expect(error.message).toContain("the conversation continues from the last successful turn");
    expect(error.details).toMatchObject({ class: "request", conversation: "cut_back", toolUses: [{ name: "Read" }] });
    expect(await scene.session.health()).toMatchObject({
      status: "degraded",
      reason: expect.stringContaining("Output blocked"),
    });
    expect(scene.session.status().faults).toMatchObject([{ kind: "conversation_cut_back" }]);
    await query(scene.name, "next");
    await scene.session.clear();
    expect(await scene.session.health()).toEqual({ status: "healthy" });
    await scene.supervisor.stop();
    await reading;
    expect(events.filter(({ type }) => type === "fault")).toHaveLength(1);
  });

  test("is cut back by another process when the rewind is refused", async () => {
    await using scene = await Scene.open({ fake: { rewind: "refused" }, script: model({ poison }) });
    await query(scene.name, "one");
    await failure(query(scene.name, "poison"), "TURN_FAILED");
    expect((await query(scene.name, "next")).text).toBe("one, next");
    expect(scene.fake.processes).toHaveLength(2);
  });

  test("is cut back when Claude Code began the turn by itself", async () => {
    await using scene = await Scene.open({ script: model() });
    await query(scene.name, "one");
    scene.fake.processes[0]?.beginTurn(poison);
    await eventually(() => scene.session.status().faults.length > 0);
    expect((await query(scene.name, "next")).text).toBe("one, next");
    expect(scene.fake.processes).toHaveLength(2);
  });
});
