import { describe, expect, test } from "vitest";
import { fallbackOn } from "../../src/application/fallback.ts";
import { query, session, stream } from "../../src/castellan.ts";
import { CastellanError } from "../../src/errors.ts";
import { fallback, pool, Registry, type SessionOptions, type SessionRef, via } from "../../src/index.ts";
import type { FakeScript, FakeTurn } from "../../src/testing/index.ts";
import { eventually, failure, Scene, thrown, unique, within } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

type Options = Omit<SessionOptions, "name">;

/** Opens two sessions in one supervisor, the first with its own script. */
async function pair(primary: FakeScript, options: Options = {}, clock?: SimulatedClock) {
  const names = [unique("primary"), unique("backup")] as const;
  /** All prompts with their session, in order. */
  const asked: string[] = [];
  const scene = await Scene.open({
    script: async (turn) => {
      asked.push(`${turn.process.model}: ${turn.prompt}`);
      if (turn.process.model === "primary") await primary(turn);
      else await turn.text("from the backup");
    },
    children: [
      { name: names[0], model: "primary", ...options },
      { name: names[1], model: "backup" },
    ],
    ...(clock === undefined ? {} : { clock }),
  });
  return { scene, names, asked, both: fallback(names), [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
}

describe("fallback(), query", () => {
  test("asks the first session while that answers", async () => {
    await using one = await pair((turn) => turn.text("from the primary"));
    expect((await query(one.both, "hi")).text).toBe("from the primary");
    expect((await one.scene.supervisor.query(one.both, "again")).text).toBe("from the primary");
    expect(one.asked).toEqual(["primary: hi", "primary: again"]);
  });

  test.each([401, 402, 429, 500, 529])("asks the next session on status %i", async (status) => {
    await using one = await pair((turn) => turn.fail({ status }), {}, new SimulatedClock());
    expect((await query(one.both, "hi")).text).toBe("from the backup");
    expect(one.asked).toEqual(["primary: hi", "backup: hi"]);
    // A held or quarantined session is not asked again.
    expect((await query(one.both, "again")).text).toBe("from the backup");
    expect(one.asked.slice(2)).toEqual(["backup: again"]);
  });

  test("asks the next session when one is unknown, has stopped, or has an unregistered key", async () => {
    const nobody = unique("nobody");
    await using one = await pair((turn) => turn.exit(1), { onInterruptedTurn: "fail" });
    const [primary, backup] = one.names;
    expect((await query(fallback([nobody, backup]), "hi")).text).toBe("from the backup");
    const handle = session(primary);
    await handle.stop();
    expect((await query(fallback([handle, backup]), "hi")).text).toBe("from the backup");
    const registry = new Registry<SessionRef>({ keys: "unique" });
    const member = via(registry, "reviewer");
    expect((await query(fallback([member, backup]), "hi")).text).toBe("from the backup");
    expect(one.asked).toHaveLength(3);
  });

  test("asks the next session when the mailbox is full, the session busy, or the wait too long", async () => {
    const clock = new SimulatedClock();
    await using one = await pair((turn) => turn.hang(), { mailboxLimit: 1, queueTimeout: "1m" }, clock);
    const running = stream(one.names[0], "long");
    await one.scene.fake.prompted(1);
    expect((await query(one.both, "busy", { whenBusy: "reject" })).text).toBe("from the backup");
    const waiting = query(one.both, "waits");
    expect((await query(one.both, "full")).text).toBe("from the backup");
    expect(one.asked).toEqual(["primary: long", "backup: busy", "backup: full"]);
    await clock.advance(60_000);
    expect((await waiting).text).toBe("from the backup");
    expect(one.asked.at(-1)).toBe("backup: waits");
    await within(clock, Promise.all([running.interrupt(), failure(running.result(), "TURN_INTERRUPTED")]));
  });

  test("asks the next session when the first is stopped while the turn is queued", async () => {
    await using one = await pair((turn) => turn.hang());
    const running = stream(one.names[0], "long");
    await one.scene.fake.prompted(1);
    const waiting = query(one.both, "waits");
    await eventually(() => session(one.names[0]).status().mailbox === 1);
    await session(one.names[0]).stop();
    await failure(running.result(), "TURN_INTERRUPTED");
    expect((await waiting).text).toBe("from the backup");
    expect(one.asked).toEqual(["primary: long", "backup: waits"]);
  });

  test("may refer to a pool, and asks the next session when no member is free", async () => {
    const [team, backup] = [unique("team"), unique("backup")];
    await using scene = await Scene.open({
      children: [pool(team, { size: 1 }), { name: backup }],
      script: (turn) => turn.text(`${turn.prompt}, said ${String(turn.process.model)}`),
      options: { defaults: { model: "x" } },
    });
    const both = fallback([team, backup]);
    expect((await query(both, "one")).text).toBe("one, said x");
    expect((await stream(both, "two").result()).text).toBe("two, said x");
    expect(session(backup).status().state).toBe("idle");
    const { turnId } = await query(both, "three");
    expect(await session(backup).turn(turnId)).toBeUndefined();
    await using _ = await scene.supervisor.pool(team).checkout();
    const reply = await query(both, "four", { whenBusy: "reject" });
    expect(await session(backup).turn(reply.turnId)).toBeDefined();
  });

  test("skips sessions of another supervisor", async () => {
    await using one = await pair((turn) => turn.text("from the primary"));
    await using other = await Scene.open();
    expect((await other.supervisor.query(fallback([one.names[0], other.name]), "hi")).text).toBe("You said: hi");
    expect(one.asked).toEqual([]);
  });
});

describe("fallback(), touched turns", () => {
  const partial = async (turn: FakeTurn): Promise<void> => {
    await turn.partial("I was about to");
    await turn.fail({ status: 529 });
  };
  const tool = async (turn: FakeTurn): Promise<void> => {
    await turn.toolUse("Bash", { command: "ls" });
    await turn.fail({ status: 529 });
  };
  test.each<[string, FakeScript]>([
    ["some text had come", partial],
    ["a tool had run", tool],
  ])("asks no other session when %s before the API failed", async (_, script) => {
    await using one = await pair(script, {}, new SimulatedClock());
    const error = await failure(query(one.both, "hi"), "TURN_FAILED");
    expect(error.cause).toBeUndefined();
    expect(one.asked).toEqual(["primary: hi"]);
    expect((await session(one.names[0]).turn(error.details.turnId))?.touched).toBe(true);
  });

  test("asks no other session when a first attempt had run a tool", async () => {
    const script: FakeScript = async (turn) => {
      if (turn.index > 0) return turn.fail({ status: 529 });
      await turn.toolUse("Bash", { command: "ls" });
      await turn.crash();
    };
    await using one = await pair(script, { onInterruptedTurn: "retry" });
    await failure(query(one.both, "hi"), "TURN_FAILED");
    expect(one.asked).toEqual(["primary: hi", "primary: hi"]);
  });

  test("asks no other session after a crash, an interrupt, a rejected request or a timeout", async () => {
    const clock = new SimulatedClock();
    const script: FakeScript = async (turn) => {
      if (turn.prompt === "die") await turn.crash();
      if (turn.prompt === "wrong") await turn.fail({ status: 400 });
      else await turn.hang();
    };
    await using one = await pair(script, { onInterruptedTurn: "fail" }, clock);
    await within(clock, failure(query(one.both, "die"), "TURN_INTERRUPTED"));
    await within(clock, failure(query(one.both, "wrong"), "TURN_FAILED"));
    const late = failure(query(one.both, "late", { timeout: "1s" }), "TURN_TIMEOUT");
    await within(clock, late);
    const scope = new AbortController();
    const stopped = failure(query(one.both, "stop", { signal: scope.signal }), "TURN_INTERRUPTED");
    await one.scene.fake.prompted(4);
    scope.abort();
    await within(clock, stopped);
    expect(one.asked).toEqual(["primary: die", "primary: wrong", "primary: late", "primary: stop"]);
  });
});

describe("fallback(), held sessions", () => {
  test("are asked last, in the order in which their holds end", async () => {
    const clock = new SimulatedClock();
    const asked: string[] = [];
    let overloaded = true;
    const [a, b] = [unique("a"), unique("b")];
    await using _ = await Scene.open({
      clock,
      children: [
        { name: a, model: "a" },
        { name: b, model: "b" },
      ],
      script: async (turn) => {
        asked.push(String(turn.process.model));
        if (overloaded) await turn.fail({ status: 529 });
        else await turn.text(`from ${turn.process.model}`);
      },
    });
    await failure(query(b, "hi"), "TURN_FAILED");
    await clock.advance(500);
    await failure(query(a, "hi"), "TURN_FAILED");
    overloaded = false;
    const [untilA, untilB] = [a, b].map((name) => session(name).status().waitingFor?.until ?? 0);
    expect(untilB).toBeLessThan(untilA ?? 0);
    expect(session(fallback([a, b])).name).toBe(b);
    expect((await within(clock, query(fallback([a, b]), "hi"))).text).toBe("from b");
    expect(asked).toEqual(["b", "a", "b"]);
    await within(clock, query(a, "hi"));
  });
});

test("fallback(): the timeout covers all sessions together", async () => {
  const clock = new SimulatedClock();
  const [a, b, c] = [unique("a"), unique("b"), unique("c")];
  await using scene = await Scene.open({
    clock,
    script: (turn) => turn.hang(),
    children: [{ name: a, queueTimeout: "3s" }, { name: b }, { name: c }],
  });
  const running = stream(a, "long");
  await scene.fake.prompted(1);
  const call = failure(query(fallbackOn([a, b, c], clock), "hi", { timeout: "5s" }), "TURN_TIMEOUT");
  await clock.advance(3_000);
  await scene.fake.prompted(2);
  await clock.advance(1_999);
  expect(session(b).status().state).toBe("busy");
  await clock.advance(1);
  expect((await call).details.timeoutMs).toBe(2_000);
  expect(session(c).status().state).toBe("idle");
  await within(clock, Promise.all([running.interrupt(), failure(running.result(), "TURN_INTERRUPTED")]));
  expect(clock.timers).toBeLessThan(11);
});

test("fallback(): rejects with the last error, whose cause has all of them", async () => {
  const nobody = unique("nobody");
  await using one = await pair((turn) => turn.fail({ status: 401 }));
  const [primary, backup] = one.names;
  await session(backup).stop();
  await failure(query(primary, "hi"), "TURN_FAILED");
  const error = await failure(query(fallback([nobody, backup, primary]), "hi"), "SESSION_QUARANTINED");
  expect(error.details.lastExits.at(-1)?.class).toBe("auth");
  expect(error.message).toContain("None of the 3 sessions");
  expect(error.cause).toBeInstanceOf(AggregateError);
  const { errors } = error.cause as AggregateError;
  expect(errors.map((each: unknown) => CastellanError.is(each) && each.code)).toEqual([
    "SESSION_NOT_FOUND",
    "SESSION_NOT_FOUND",
    "SESSION_QUARANTINED",
  ]);
  const single = await failure(query(fallback([nobody]), "hi"), "SESSION_NOT_FOUND");
  expect(single.cause).toBeUndefined();
});

describe("fallback(), session() and stream()", () => {
  test("pick the first session that is neither quarantined nor held, or else one with the reason", async () => {
    const nobody = unique("nobody");
    await using one = await pair((turn) => turn.fail({ status: 401 }));
    const [primary, backup] = one.names;
    expect(session(one.both).name).toBe(primary);
    await failure(stream(one.both, "hi").result(), "TURN_FAILED");
    await eventually(() => session(primary).status().state === "quarantined");
    expect(session(one.both).name).toBe(backup);
    expect((await stream(one.both, "hi").result()).text).toBe("from the backup");
    expect(one.scene.supervisor.session(fallback([nobody, ...one.names])).name).toBe(backup);
    expect(session(fallback([nobody, primary])).name).toBe(primary);
    await thrown(() => stream(fallback([nobody, primary]), "hi"), "SESSION_QUARANTINED");
    const none = await thrown(() => session(fallback([nobody, `${nobody}-too`])), "SESSION_NOT_FOUND");
    expect(none.cause).toBeInstanceOf(AggregateError);
  });
});

test("fallback(): rejects an empty list, an idempotency key and wrong options", async () => {
  await thrown(() => fallback([]), "INVALID_OPTIONS");
  // @ts-expect-error: input of an untyped caller
  await thrown(() => fallback("primary"), "INVALID_OPTIONS");
  await using one = await pair((turn) => turn.text("fine"));
  const refused = await failure(query(one.both, "hi", { idempotencyKey: "a" }), "INVALID_OPTIONS");
  expect(refused.details.problems[0]?.field).toBe("idempotencyKey");
  await failure(query(one.both, ""), "INVALID_OPTIONS");
  await failure(query(one.both, "hi", { timeout: "soon" }), "INVALID_OPTIONS");
  expect(one.asked).toEqual([]);
});
