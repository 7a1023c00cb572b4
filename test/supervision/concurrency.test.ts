import { describe, expect, it } from "vitest";
import { ChildSupervisor } from "../../src/supervision/supervisor.ts";
import { settle } from "./simulated-clock.ts";
import { crash, normal, Stage } from "./stage.ts";

/** Says whether a promise has settled, and lets everything ready run before it looks. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  await settle();
  return settled;
}

describe("a stop", () => {
  it("calls off a pending start, and stops and awaits the child that comes late", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise([]);
    const release = stage.holdStart("a");
    const starting = expect(supervisor.startChild(stage.spec("a"))).rejects.toMatchObject({
      code: "SUPERVISOR_STOPPED",
    });
    const releaseStop = stage.holdStop("a");
    const stopping = supervisor.stop();
    expect(stage.contexts.get("a")?.[0]?.signal.aborted).toBe(true);
    await starting;
    release();
    await settle();
    expect(stage.take()).toEqual(["start a", "stop a"]);
    expect(await isSettled(stopping)).toBe(false);
    releaseStop();
    await stopping;
    expect(stage.playing).toEqual([]);
  });

  it("ends a back-off", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    stage.failNext("a", "down");
    await stage.exit("a");
    expect(stage.clock.timers).toBe(1);
    await supervisor.stop();
    expect(stage.clock.timers).toBe(0);
    await stage.clock.advance(60_000);
    expect(stage.take()).toEqual(["start a", "start a"]);
  });

  it("is shared by all who ask for it", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b"));
    const actor = stage.actor("a");
    await Promise.all([supervisor.stop(), supervisor.stop(), supervisor.stop("infinity")]);
    await supervisor.stop();
    expect(actor.stops).toEqual([5_000]);
    expect(await supervisor.exited).toEqual({ reason: "shutdown" });
  });

  it("keeps the reverse order while a restart of many is under way", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b", "c"), { strategy: "one_for_all" });
    const releases = [stage.holdStop("c"), stage.holdStop("d")];
    await stage.exit("b");
    await supervisor.startChild(stage.spec("d"));
    stage.take();
    const stopping = supervisor.stop();
    releases[0]?.();
    await settle();
    expect(stage.take()).toEqual(["stop d"]);
    releases[1]?.();
    await stopping;
    expect(stage.take()).toEqual(["stop a"]);
  });

  it("with a number kills what is left after it", async () => {
    const stage = new Stage({ shutdown: "infinity" });
    const supervisor = await stage.supervise([...stage.specs("a"), stage.nested("s", stage.specs("b"))]);
    const [outer, inner] = [stage.actor("a"), stage.actor("b")];
    const releases = [stage.holdStop("a"), stage.holdStop("b")];
    const stopping = supervisor.stop(2_000);
    await stage.clock.advance(1_999);
    expect([outer.stops, inner.stops]).toEqual([[], ["infinity"]]);
    await stage.clock.advance(1);
    expect([outer.stops, inner.stops]).toEqual([["brutal_kill"], ["infinity", "brutal_kill"]]);
    for (const release of releases) release();
    await stopping;
  });

  it("with a number leaves no timer behind when all are gone before", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    await supervisor.stop(2_000);
    expect(stage.clock.timers).toBe(0);
  });

  it("with brutal_kill kills all at once, also when an orderly stop has begun", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b"));
    const actors = [stage.actor("a"), stage.actor("b")];
    const release = stage.holdStop("b");
    const orderly = supervisor.stop();
    const brutal = supervisor.stop("brutal_kill");
    expect(actors.map(({ stops }) => stops)).toEqual([["brutal_kill"], [5_000, "brutal_kill"]]);
    release();
    await Promise.all([orderly, brutal]);
  });

  it("does not hang on a start that never comes to an end", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise([]);
    stage.holdStart("a");
    supervisor.startChild(stage.spec("a", { shutdown: 1_000 })).catch(() => {});
    const stopping = supervisor.stop();
    await stage.clock.advance(5_999);
    expect(await isSettled(stopping)).toBe(false);
    await stage.clock.advance(1);
    await stopping;
    expect(stage.events.at(-1)).toMatchObject({ type: "terminated", id: "a", error: { code: "CHILD_NOT_GONE" } });
  });

  it("refuses every call that would change something", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    const stopping = supervisor.stop();
    const calls = [
      supervisor.startChild(stage.spec("b")),
      supervisor.terminateChild("a"),
      supervisor.restartChild("a"),
      supervisor.recycleChild("a"),
      supervisor.deleteChild("a"),
    ];
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: "SUPERVISOR_STOPPED" });
    await stopping;
    expect(supervisor.whichChildren()).toMatchObject([{ id: "a", state: "terminated" }]);
  });
});

describe("the start of a supervisor", () => {
  it("is called off by its signal, and what is up is gone when it rejects", async () => {
    const stage = new Stage();
    const controller = new AbortController();
    const release = stage.holdStart("b");
    const starting = ChildSupervisor.start(stage.specs("a", "b", "c"), {}, stage.deps(controller.signal));
    const refused = expect(starting).rejects.toMatchObject({ code: "SUPERVISOR_STOPPED" });
    await settle();
    controller.abort();
    release();
    await refused;
    expect(stage.take()).toEqual(["start a", "start b", "stop b", "stop a"]);
  });

  it("begins nothing when its signal is aborted already", async () => {
    const stage = new Stage();
    const starting = ChildSupervisor.start(stage.specs("a"), {}, stage.deps(AbortSignal.abort()));
    await expect(starting).rejects.toMatchObject({
      code: "SUPERVISOR_STOPPED",
      message: "the start of the supervisor was called off",
    });
    expect(stage.take()).toEqual([]);
  });

  it("is not called off by its signal once it is over", async () => {
    const stage = new Stage();
    const controller = new AbortController();
    const supervisor = await ChildSupervisor.start(stage.specs("a"), {}, stage.deps(controller.signal));
    controller.abort();
    await settle();
    expect(supervisor.countChildren().active).toBe(1);
  });

  it("is called off in a nested supervisor when the outer one stops", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise([]);
    const release = stage.holdStart("b");
    supervisor.startChild(stage.nested("inner", stage.specs("a", "b"))).catch(() => {});
    await settle();
    const stopping = supervisor.stop();
    release();
    await stopping;
    expect(stage.playing).toEqual([]);
  });

  it("rejects when the supervisor escalates meanwhile", async () => {
    const stage = new Stage();
    stage.holdStart("b");
    const options = { onMaxRestarts: "escalate", maxRestarts: 0 } as const;
    const starting = stage.supervise([stage.spec("a"), stage.spec("b", { shutdown: 0 })], options);
    const refused = expect(starting).rejects.toMatchObject({
      code: "SUPERVISOR_STOPPED",
      message: expect.stringContaining("child a ended once too often"),
    });
    await settle();
    await stage.exit("a");
    await stage.clock.advance(5_000);
    await refused;
  });

  it("resolves with a supervisor that has ended when significant children end meanwhile", async () => {
    const stage = new Stage();
    const release = stage.holdStart("b");
    const worker = stage.spec("a", { restart: "transient", significant: true });
    const starting = stage.supervise([worker, stage.spec("b")], { autoShutdown: "any_significant" });
    await settle();
    await stage.exit("a", normal);
    release();
    expect(await (await starting).exited).toEqual({ reason: "shutdown" });
    expect(stage.playing).toEqual([]);
  });

  it("goes on when a child that is up crashes meanwhile, and starts the rest of the group with it", async () => {
    const stage = new Stage();
    const release = stage.holdStart("b");
    const starting = stage.supervise(stage.specs("a", "b", "c"), { strategy: "one_for_all" });
    await settle();
    await stage.exit("a");
    expect(stage.contexts.get("b")?.[0]?.signal.aborted).toBe(true);
    release();
    const supervisor = await starting;
    expect(stage.take()).toEqual(["start a", "start b", "stop b", "start a", "start b", "start c"]);
    expect(supervisor.countChildren().active).toBe(3);
  });
});

describe("terminateChild", () => {
  it("during a restart calls the start off and leaves the child down", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    const release = stage.holdStart("a");
    await stage.exit("a");
    const terminating = supervisor.terminateChild("a");
    release();
    await terminating;
    expect(stage.take()).toEqual(["start a", "start a", "stop a"]);
    expect(supervisor.child("a")?.state).toBe("terminated");
  });

  it("during a back-off gives the restart up", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    stage.failNext("a", "down");
    await stage.exit("a");
    await supervisor.terminateChild("a");
    expect(stage.clock.timers).toBe(0);
    expect(supervisor.child("a")).toMatchObject({ state: "terminated" });
    expect(supervisor.child("a")?.retryAt).toBeUndefined();
  });

  it("of one that hangs in a restart of many lets the others come up", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b", "c"), { strategy: "one_for_all" });
    const release = stage.holdStart("b");
    await stage.exit("a");
    const terminating = supervisor.terminateChild("b");
    release();
    await terminating;
    await settle();
    expect(supervisor.whichChildren().map(({ state }) => state)).toEqual(["running", "terminated", "running"]);
  });

  it("makes other calls about the child wait until it is gone", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    const release = stage.holdStop("a");
    const terminating = supervisor.terminateChild("a");
    const restarting = supervisor.restartChild("a");
    expect(await isSettled(restarting)).toBe(false);
    expect(stage.take()).toEqual(["start a", "stop a"]);
    release();
    await Promise.all([terminating, restarting]);
    expect(stage.take()).toEqual(["start a"]);
  });

  it("lets the id of a temporary child be taken again as soon as it is gone", async () => {
    const stage = new Stage();
    const temporary = { restart: "temporary" } as const;
    const supervisor = await stage.supervise([stage.spec("a", temporary)]);
    const terminating = supervisor.terminateChild("a");
    await supervisor.startChild(stage.spec("a", temporary));
    await terminating;
    expect(stage.take()).toEqual(["start a", "stop a", "start a"]);
  });

  it("is not undone by a crash that happens at the same moment", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    stage.actor("a").exit(crash);
    await supervisor.terminateChild("a");
    await settle();
    expect(supervisor.child("a")?.state).toBe("terminated");
    expect(stage.playing).toEqual([]);
  });
});

describe("recycleChild", () => {
  it("of a child that is starting waits for that start", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise([]);
    const release = stage.holdStart("a");
    const starting = supervisor.startChild(stage.spec("a"));
    const recycling = supervisor.recycleChild("a");
    release();
    expect(await recycling).toBe(await starting);
    expect(stage.take()).toEqual(["start a"]);
  });

  it("asked for twice restarts once", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    const [one, other] = await Promise.all([supervisor.recycleChild("a"), supervisor.recycleChild("a")]);
    expect(one).toBe(other);
    expect(stage.take()).toEqual(["start a", "stop a", "start a"]);
  });

  it("rejects when the child is terminated before it is up", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    const release = stage.holdStop("a");
    const recycling = expect(supervisor.recycleChild("a")).rejects.toMatchObject({
      code: "CHILD_START_FAILED",
      message: expect.stringContaining("called off"),
    });
    const terminating = supervisor.terminateChild("a");
    release();
    await Promise.all([recycling, terminating]);
    expect(stage.take()).toEqual(["start a", "stop a"]);
  });
});
