import { describe, expect, test } from "vitest";
import { Supervisor } from "../../src/application/supervisor.ts";
import { query, session, stream } from "../../src/castellan.ts";
import type { SessionName } from "../../src/names.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { failure, Scene, thrown, unique } from "../session-on-fake/scene.ts";

describe("Session name", () => {
  test("is compared by value and type", async () => {
    const word = unique("user");
    const names: SessionName[] = [word, [word], [word, 42], [word, "42"], [word, 42, "a"]];
    await using scene = await Scene.open({ children: names.map((name) => ({ name })) });
    for (const [at, name] of names.entries()) {
      expect((await query(name, `${at}`)).text).toBe(`You said: ${at}`);
      const { conversationId } = session(name).status();
      expect(scene.fake.transcript(conversationId).map(({ text }) => text)).toEqual([`${at}`, `You said: ${at}`]);
    }
    expect(scene.supervisor.listSessions().map(({ name }) => name)).toEqual(names);
    expect((await query([word, 42], "again")).sessionId).toBe(session(names[2] ?? "").status().conversationId);
  });

  test("may contain any characters", async () => {
    const name = `${unique()} "quoted"\n[日本語] 🏰`;
    await using scene = await Scene.open({ children: [{ name }] });
    expect((await query(name, "hi")).text).toBe("You said: hi");
    await scene.supervisor.terminateSession(name);
    await thrown(() => session(name), "SESSION_NOT_FOUND");
  });

  test("is rejected with a reason when it is invalid", async () => {
    // @ts-expect-error: input of an untyped caller
    expect((await failure(query(undefined, "hi"), "INVALID_OPTIONS")).message).toContain("a string is needed");
    // @ts-expect-error: as above
    await failure(query(null, "hi"), "INVALID_OPTIONS");
    // @ts-expect-error: as above
    await failure(query([], "hi"), "INVALID_OPTIONS");
    // @ts-expect-error: as above
    await failure(query([42, "user"], "hi"), "INVALID_OPTIONS");
    await failure(query(["user", Number.NaN], "hi"), "INVALID_OPTIONS");
    await failure(query("", "hi"), "INVALID_OPTIONS");
  });
});

describe("SESSION_NOT_FOUND", () => {
  test("lists similar names", async () => {
    const word = unique("reviewer");
    await using _ = await Scene.open({ children: [{ name: word }, { name: unique("something-else") }] });
    const wrong = `${word}s`;
    const error = await failure(query(wrong, "hi"), "SESSION_NOT_FOUND");
    expect(error.details.nearMisses).toEqual([JSON.stringify(word)]);
    expect(error.message).toContain(wrong);
    expect(error.message).toContain(`Did you mean "${word}"?`);
    expect((await thrown(() => stream(wrong, "hi"), "SESSION_NOT_FOUND")).details.nearMisses).toHaveLength(1);
  });

  test("is thrown for a session of another supervisor", async () => {
    const [a, b] = [unique("a"), unique("b")];
    await using first = await Scene.open({ children: [{ name: a }] });
    await using second = await Scene.open({ children: [{ name: b }] });
    await failure(first.supervisor.query(b, "hi"), "SESSION_NOT_FOUND");
    await failure(first.supervisor.terminateSession(b), "SESSION_NOT_FOUND");
    await failure(first.supervisor.restartSession(second.supervisor.session(b)), "SESSION_NOT_FOUND");
    expect((await query(b, "still here")).text).toBe("You said: still here");
  });

  test("is thrown for a session of another supervisor with the same name", async () => {
    const [a, b] = [unique("a"), unique("b")];
    const options = { name: unique("supervisor") };
    await using first = await Scene.open({ children: [{ name: a }], options });
    await using _ = await Scene.open({ children: [{ name: b }], options });
    await failure(first.supervisor.query(b, "hi"), "SESSION_NOT_FOUND");
    await failure(first.supervisor.terminateSession(b), "SESSION_NOT_FOUND");
    expect((await query(b, "still here")).text).toBe("You said: still here");
  });
});

describe("Session handle", () => {
  test("is accepted in place of a name", async () => {
    await using scene = await Scene.open();
    const handle = scene.session;
    expect((await query(handle, "one")).text).toBe("You said: one");
    expect((await scene.supervisor.query(handle, "two")).text).toBe("You said: two");
    expect(session(handle)).toBe(handle);
    expect(scene.supervisor.session(handle)).toBe(handle);
    expect(await stream(handle, "three").result()).toMatchObject({ text: "You said: three" });
    await scene.supervisor.restartSession(handle);
    expect((await query(handle, "four")).text).toBe("You said: four");
    await scene.supervisor.terminateSession(handle);
    await failure(query(handle, "five"), "SESSION_STOPPED");
  });

  test("does not refer to a later session of the same name", async () => {
    await using scene = await Scene.open();
    const old = scene.session;
    await old.stop();
    const fresh = await scene.supervisor.startSession({ name: scene.name });
    await failure(old.query("hi"), "SESSION_STOPPED");
    await failure(old.stop(), "SESSION_STOPPED");
    await failure(old.restart(), "SESSION_STOPPED");
    expect((await fresh.query("hi")).text).toBe("You said: hi");
    expect(fresh.status().starts).toBe(1);
  });
});

test("query(), stream() and session(): find sessions of all supervisors", async () => {
  const [a, b] = [unique("a"), unique("b")];
  await using _first = await Scene.open({ children: [{ name: a }] });
  await using _second = await Scene.open({ children: [{ name: b }] });
  expect((await query(a, "x")).text).toBe("You said: x");
  expect((await query(b, "y")).text).toBe("You said: y");
  expect(await Array.fromAsync(stream(b, "z").text())).toEqual(["You said: z"]);
  expect(session(a).name).toBe(a);
});

test("Supervisor.name: is unique by default", async () => {
  const fake = fakeClaude();
  const options = { defaults: { spawnClaudeCodeProcess: fake.spawn } };
  await using first = await Supervisor.start([{ name: unique() }], options);
  await using second = await Supervisor.start([{ name: unique() }], options);
  expect(first.name).toMatch(/^supervisor-\d+$/);
  expect(second.name).not.toBe(first.name);
});
