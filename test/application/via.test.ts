import { describe, expect, test } from "vitest";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import { query, session, stream } from "../../src/castellan.ts";
import { Registry, type Session, type SessionName, type SessionRef, template, via } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { run } from "../session-on-fake/application.ts";
import { eventually, failure, Scene, thrown, ticks, unique } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

const agents = (): Registry => new Registry({ keys: "unique", name: unique("agents") });

describe("via()", () => {
  test("is accepted in place of a name, and looked up anew each time", async () => {
    const registry = new Registry<SessionRef>({ keys: "unique", name: "agents" });
    const [a, b] = [unique("a"), unique("b")];
    await using scene = await Scene.open({ children: [{ name: a }, { name: b }] });
    const reviewer = via(registry, "reviewer");
    await failure(query(reviewer, "hi"), "SESSION_NOT_FOUND");
    const first = registry.register("reviewer", scene.supervisor.session(a));
    expect(session(reviewer).name).toBe(a);
    expect((await query(reviewer, "one")).text).toBe("You said: one");
    first.unregister();
    registry.register("reviewer", b);
    expect(scene.supervisor.session(reviewer).name).toBe(b);
    expect((await scene.supervisor.query(reviewer, "two")).text).toBe("You said: two");
    expect((await stream(reviewer, "three").result()).text).toBe("You said: three");
    registry.register(["on", "call"], reviewer);
    expect(session(via(registry, ["on", "call"])).name).toBe(b);
    await scene.supervisor.restartSession(reviewer);
    await scene.supervisor.terminateSession(reviewer);
    expect((await failure(query(reviewer, "four"), "SESSION_NOT_FOUND")).message).toContain(b);
  });

  test("rejects an unknown key with registry, key and similar keys", async () => {
    const registry = new Registry<SessionName>({ keys: "unique", name: "agents" });
    registry.register("reviewer", "somebody");
    const error = await failure(query(via(registry, "reviewers"), "hi"), "SESSION_NOT_FOUND");
    expect(error.message).toContain('"reviewers" in registry "agents"');
    expect(error.message).toContain('did you mean `"reviewer"`?');
    expect(error.details.nearMisses).toEqual(['"reviewer"']);
    const other = await thrown(() => session(via(registry, ["zebra", 7])), "SESSION_NOT_FOUND");
    expect(other.details.nearMisses).toEqual([]);
  });

  test("rejects a cycle, a registry of duplicate keys, and a missing key", async () => {
    const registry = new Registry<SessionRef>({ keys: "unique" });
    registry.register("a", via(registry, "b"));
    registry.register("b", via(registry, "a"));
    expect((await thrown(() => session(via(registry, "a")), "INVALID_OPTIONS")).message).toContain("refers to itself");
    const many = new Registry({ keys: "duplicate", name: "agents" });
    expect((await thrown(() => via(many, "a"), "INVALID_OPTIONS")).message).toContain("use a balancer");
    // @ts-expect-error: input of an untyped caller
    await thrown(() => via(registry, undefined), "INVALID_OPTIONS");
    const things = new Registry<Date>({ keys: "unique" });
    // @ts-expect-error: a date is no session
    via(things, "a");
  });
});

describe("Session with a via() name", () => {
  test("is registered until it is deleted, also over restarts", async () => {
    const registry = agents();
    await using scene = await Scene.open({
      children: [{ name: via(registry, "reviewer") }, { name: via(registry, ["user", 42]) }],
    });
    const reviewer = registry.get("reviewer");
    expect(reviewer?.name).toEqual([registry.name, "reviewer"]);
    expect(session([registry.name ?? "", "user", 42])).toBe(registry.get(["user", 42]));
    expect((await query(via(registry, "reviewer"), "hi")).text).toBe("You said: hi");
    await scene.supervisor.restartSession(via(registry, "reviewer"));
    expect(registry.get("reviewer")).toBe(reviewer);
    await scene.supervisor.terminateSession(via(registry, "reviewer"));
    expect(registry.keys()).toEqual([["user", 42]]);
    const again = await scene.supervisor.startSession({ name: via(registry, "reviewer") });
    expect(registry.get("reviewer")).toBe(again);
    await scene.supervisor.terminateChild(via(registry, "reviewer"));
    expect(registry.get("reviewer")).toBe(again);
    await scene.supervisor.deleteChild(via(registry, "reviewer"));
    expect(registry.keys()).toEqual([["user", 42]]);
    await scene.supervisor.stop();
    expect(registry.keys()).toEqual([]);
  });

  test("continues its conversation after a restart of the application", async () => {
    const [registry, journal] = [agents(), memoryJournal()];
    const fake = fakeClaude((turn) => turn.text(`${turn.history.length}`));
    const first = await run({ fake, journal }, [{ name: via(registry, "reviewer") }]);
    expect((await query(via(registry, "reviewer"), "hi")).text).toBe("0");
    await first.stop();
    // Another process has its own registry of that name.
    const later = new Registry({ keys: "unique", name: registry.name ?? "" });
    await using _ = await run({ fake, journal }, [{ name: via(later, "reviewer") }]);
    expect((await query(via(later, "reviewer"), "hi")).text).toBe("2");
  });

  test("needs a named registry and a free key; otherwise nothing starts", async () => {
    const nameless = new Registry({ keys: "unique" });
    const refused = await failure(Scene.open({ children: [{ name: via(nameless, "a") }] }), "INVALID_OPTIONS");
    expect(refused.details.problems[0]?.field).toBe("children[0].name");
    expect(refused.message).toContain("requires a registry with a `name`");
    const registry = agents();
    const names = unique("other");
    await using scene = await Scene.open({ children: [{ name: names }] });
    registry.register("b", scene.session);
    const children = ["a", "b", "c"].map((key) => ({ name: via(registry, key) }));
    const taken = await failure(Scene.open({ children }), "KEY_ALREADY_REGISTERED");
    expect(taken.details).toEqual({ registry: registry.name, key: "b" });
    expect(registry.keys()).toEqual(["b"]);
    await thrown(() => session([registry.name ?? "", "a"]), "SESSION_NOT_FOUND");
    await thrown(() => session([registry.name ?? "", "b"]), "SESSION_NOT_FOUND");
    await failure(scene.supervisor.startSession({ name: via(registry, "b") }), "KEY_ALREADY_REGISTERED");
    expect(registry.get("b")).toBe(scene.session);
    expect(scene.supervisor.countSessions()).toBe(1);
  });

  test("is unchanged by a reconcile(), unless the registry changes", async () => {
    const registry = agents();
    const children = (of: Registry): ChildOptions[] => [{ name: via(of, "reviewer"), model: "one" }];
    await using scene = await Scene.open({ children: children(registry) });
    const untouched = { added: [], removed: [], changed: [], failed: [] };
    expect(await scene.supervisor.reconcile(children(registry))).toEqual(untouched);
    expect(scene.fake.processes).toHaveLength(1);
    const other = new Registry({ keys: "unique", name: registry.name ?? "" });
    await scene.supervisor.reconcile(children(other));
    expect(registry.keys()).toEqual([]);
    expect(other.get("reviewer")?.name).toEqual([registry.name, "reviewer"]);
    expect((await query(via(other, "reviewer"), "hi")).text).toBe("You said: hi");
    await scene.supervisor.reconcile([]);
    expect(other.keys()).toEqual([]);
  });
});

describe("Registry with sessions", () => {
  test("keeps a session until it or its supervisor ends", async () => {
    const registry = new Registry({ keys: "unique" });
    const names = [unique("a"), unique("b"), unique("c")];
    await using scene = await Scene.open({ children: names.map((name) => ({ name })) });
    const [a, b, c] = names.map((name) => session(name)) as [Session, Session, Session];
    for (const [key, one] of Object.entries({ a, b, c })) registry.register(key, one);
    await a.hibernate();
    await b.restart();
    await scene.supervisor.terminateChild(c);
    await ticks(5);
    expect(registry.keys()).toEqual(["a", "b", "c"]);
    await scene.supervisor.deleteChild(c);
    expect(registry.keys()).toEqual(["a", "b"]);
    await a.stop();
    expect(registry.keys()).toEqual(["b"]);
    await a.closed;
    registry.register("a", a);
    await ticks(1);
    expect(registry.keys()).toEqual(["b"]);
    // A later session of the same name is not the registered one.
    await scene.supervisor.startSession({ name: a.name });
    await a.closed;
    await scene.supervisor.stop();
    expect(registry.keys()).toEqual([]);
  });

  test("keeps an evicted session of a template until the session, its template or its supervisor ends", async () => {
    const [name, clock] = [unique(), new SimulatedClock()];
    const registry = new Registry({ keys: "unique" });
    const family = template(name, { idleTimeout: "1m" });
    const other = template(`${name}-other`, { idleTimeout: "1m" });
    await using scene = await Scene.open({ clock, children: [family, other] });
    const named: SessionName[] = [
      [name, "x"],
      [name, "y"],
      [`${name}-other`, "z"],
    ];
    for (const one of named) {
      await query(one, "hi");
      registry.register(one, session(one));
    }
    await clock.advance(60_000);
    await eventually(() => scene.fake.running.length === 0);
    await clock.advance(10 * 60_000);
    expect(scene.supervisor.countSessions()).toBe(0);
    expect(registry.keys()).toEqual(named);
    // `closed` does not bring the session back.
    const handle = registry.get([name, "x"]);
    expect(await Promise.race([handle?.closed, ticks(3).then(() => "open")])).toBe("open");
    expect(scene.supervisor.countSessions()).toBe(0);
    expect((await query(via(registry, [name, "x"]), "again")).text).toBe("You said: again");
    await session([name, "x"]).stop();
    expect(registry.keys()).toEqual(named.slice(1));
    await scene.supervisor.reconcile([family]);
    expect(registry.keys()).toEqual([[name, "y"]]);
    await scene.supervisor.stop();
    expect(registry.keys()).toEqual([]);
  });

  test("removes a supervisor when it stops", async () => {
    const registry = new Registry<AsyncDisposable>({ keys: "unique" });
    await using scene = await Scene.open();
    registry.register("tree", scene.supervisor);
    await scene.supervisor.restartSession(scene.name);
    expect(registry.count()).toBe(1);
    await scene.supervisor.stop();
    expect(registry.count()).toBe(0);
  });
});
