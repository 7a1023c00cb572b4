import { describe, expect, it } from "vitest";
import { ChildSupervisor } from "../../src/supervision/supervisor.ts";
import { settle } from "./simulated-clock.ts";
import { crash, normal, Stage } from "./stage.ts";

/** Returns whether a promise has settled, after all ready microtasks have run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  await settle();
  return settled;
}

describe("ChildSupervisor.stop", () => {
  it("aborts a pending start, then stops and awaits the child that starts late", async () => {
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

  it("cancels a pending back-off", async () => {
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

  it("stops each child once however often it is called", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b"));
    const actor = stage.actor("a");
    await Promise.all([supervisor.stop(), supervisor.stop(), supervisor.stop("infinity")]);
    await supervisor.stop();
    expect(actor.stops).toEqual([5_000]);
    expect(await supervisor.exited).toEqual({ reason: "shutdown" });
  });

  it("keeps the reverse order during a restart of many children", async () => {
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

  it("kills the remaining children after the given number of milliseconds", async () => {
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

  it("leaves no timer behind when all children end before the given time", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    await supervisor.stop(2_000);
    expect(stage.clock.timers).toBe(0);
  });

  it("kills all children at once with brutal_kill, also after an orderly stop has begun", async () => {
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

  it("gives up on a start that never settles, with CHILD_NOT_GONE", async () => {
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

  it("makes every changing call reject with SUPERVISOR_STOPPED", async () => {
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

describe("ChildSupervisor.start", () => {
  it("rejects with SUPERVISOR_STOPPED when its signal aborts, after stopping the children that run", async () => {
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

  it("starts nothing when its signal is already aborted", async () => {
    const stage = new Stage();
    const starting = ChildSupervisor.start(stage.specs("a"), {}, stage.deps(AbortSignal.abort()));
    await expect(starting).rejects.toMatchObject({
      code: "SUPERVISOR_STOPPED",
      message: "the start of the supervisor was cancelled",
    });
    expect(stage.take()).toEqual([]);
  });

  it("ignores its signal once it has resolved", async () => {
    const stage = new Stage();
    const controller = new AbortController();
    const supervisor = await ChildSupervisor.start(stage.specs("a"), {}, stage.deps(controller.signal));
    controller.abort();
    await settle();
    expect(supervisor.countChildren().active).toBe(1);
  });

  it("aborts the start of a nested supervisor when the outer one stops", async () => {
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

  it("rejects when the supervisor escalates before the start ends", async () => {
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

  it("resolves with an ended supervisor when a significant child ends before the start ends", async () => {
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

  it("restarts a child that crashes during the start, together with the rest of its group", async () => {
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

describe("ChildSupervisor.terminateChild", () => {
  it("aborts the start of a restarting child and leaves it terminated", async () => {
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

  it("cancels the back-off of a restarting child", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    stage.failNext("a", "down");
    await stage.exit("a");
    await supervisor.terminateChild("a");
    expect(stage.clock.timers).toBe(0);
    expect(supervisor.child("a")).toMatchObject({ state: "terminated" });
    expect(supervisor.child("a")?.retryAt).toBeUndefined();
  });

  it("starts the other children of a restart when the terminated one hangs", async () => {
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

  it("makes other calls for the child wait until it has ended", async () => {
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

  it("frees the id of a temporary child as soon as it has ended", async () => {
    const stage = new Stage();
    const temporary = { restart: "temporary" } as const;
    const supervisor = await stage.supervise([stage.spec("a", temporary)]);
    const terminating = supervisor.terminateChild("a");
    await supervisor.startChild(stage.spec("a", temporary));
    await terminating;
    expect(stage.take()).toEqual(["start a", "stop a", "start a"]);
  });

  it("leaves the child terminated when it crashes at the same moment", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    stage.actor("a").exit(crash);
    await supervisor.terminateChild("a");
    await settle();
    expect(supervisor.child("a")?.state).toBe("terminated");
    expect(stage.playing).toEqual([]);
  });
});

describe("ChildSupervisor.recycleChild", () => {
  it("waits for the start of a child that is starting", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise([]);
    const release = stage.holdStart("a");
    const starting = supervisor.startChild(stage.spec("a"));
    const recycling = supervisor.recycleChild("a");
    release();
    expect(await recycling).toBe(await starting);
    expect(stage.take()).toEqual(["start a"]);
  });

  it("restarts once when it is called twice", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    const [one, other] = await Promise.all([supervisor.recycleChild("a"), supervisor.recycleChild("a")]);
    expect(one).toBe(other);
    expect(stage.take()).toEqual(["start a", "stop a", "start a"]);
  });

  it("rejects with CHILD_START_FAILED when the child is terminated before it runs", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    const release = stage.holdStop("a");
    const recycling = expect(supervisor.recycleChild("a")).rejects.toMatchObject({
      code: "CHILD_START_FAILED",
      message: expect.stringContaining("cancelled"),
    });
    const terminating = supervisor.terminateChild("a");
    release();
    await Promise.all([recycling, terminating]);
    expect(stage.take()).toEqual(["start a", "stop a"]);
  });
});
