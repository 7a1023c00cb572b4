import { describe, expect, it } from "vitest";
import type { Child, ChildExit, ChildSpec } from "../../src/supervision/child-spec.ts";
import { settle } from "./simulated-clock.ts";
import { Actor, crash, Stage } from "./stage.ts";

describe("ChildSupervisor with a child that breaks its contract", () => {
  it("reports a stop that rejects and stops the others", async () => {
    const stage = new Stage();
    const { promise: exited, resolve: leave } = Promise.withResolvers<ChildExit>();
    const stop = async (): Promise<void> => {
      leave({ reason: "shutdown" });
      throw new Error("no");
    };
    const supervisor = await stage.supervise([
      stage.spec("a", { start: () => ({ exited, stop }) }),
      ...stage.specs("b"),
    ]);
    await supervisor.stop();
    expect(stage.events.at(-1)).toMatchObject({ type: "terminated", id: "a", error: { message: "no" } });
    expect(stage.playing).toEqual([]);
  });

  it("does not mistake the late exit of a child whose stop rejected for that of its successor", async () => {
    const stage = new Stage();
    const { promise: exited, resolve: leave } = Promise.withResolvers<ChildExit>();
    const children: Child[] = [{ exited, stop: () => Promise.reject(new Error("no")) }, new Actor("a", stage)];
    const start = (): Child => children.shift() ?? new Actor("another", stage);
    const supervisor = await stage.supervise([{ id: "a", start }]);
    const successor = await supervisor.recycleChild("a");
    leave(crash);
    await settle();
    expect(supervisor.child("a")).toMatchObject({ state: "running", child: successor, lastExits: [] });
  });

  it("reports a stop that throws", async () => {
    const stage = new Stage();
    const stop = (): Promise<void> => {
      throw new Error("no");
    };
    const supervisor = await stage.supervise([
      stage.spec("a", { start: () => ({ exited: new Promise(() => {}), stop }) }),
    ]);
    await supervisor.terminateChild("a");
    expect(stage.events.at(-1)).toMatchObject({ type: "terminated", id: "a", error: { message: "no" } });
  });

  it("treats an exited promise that rejects as a crash", async () => {
    const stage = new Stage();
    const { promise: exited, reject } = Promise.withResolvers<ChildExit>();
    const supervisor = await stage.supervise([
      stage.spec("a", { restart: "temporary", start: () => ({ exited, stop: async () => {} }) }),
    ]);
    reject(new Error("gone"));
    await settle();
    expect(stage.events.at(-1)).toMatchObject({
      type: "exited",
      exit: { reason: "abnormal", cause: { message: "gone" } },
    });
    expect(supervisor.child("a")).toBeUndefined();
  });

  it("rejects with CHILD_START_FAILED when a start returns no child", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise([]);
    const empty = JSON.parse("{}") as Child;
    const starting = supervisor.startChild({ id: "a", start: () => empty });
    await expect(starting).rejects.toMatchObject({ code: "CHILD_START_FAILED", cause: expect.any(TypeError) });
  });

  it("quarantines a child that survives its kill, instead of starting it twice", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    stage.holdStop("a");
    const recycling = expect(supervisor.recycleChild("a")).rejects.toMatchObject({
      code: "CHILD_NOT_GONE",
      message: "child a could not be stopped",
    });
    await stage.clock.advance(10_000);
    await recycling;
    expect(stage.take()).toEqual(["start a", "stop a"]);
    expect(supervisor.child("a")).toMatchObject({ state: "quarantined" });
  });

  it("kills a child whose start completes after the supervisor gave it up, and does not mistake it for its successor", async () => {
    const stage = new Stage();
    const starts = [Promise.withResolvers<Child>(), Promise.withResolvers<Child>()];
    let next = 0;
    const start = (): Promise<Child> => starts[next++]?.promise ?? Promise.reject(new Error("too many starts"));
    const supervisor = await stage.supervise([]);
    supervisor.startChild({ id: "a", shutdown: 0, start }).catch(() => {});
    const terminating = supervisor.terminateChild("a");
    await stage.clock.advance(5_000);
    await terminating;
    const restarting = supervisor.restartChild("a");
    const [late, successor] = [new Actor("late", stage), new Actor("a", stage)];
    starts[0]?.resolve(late);
    await settle();
    expect(late.stops).toEqual(["brutal_kill"]);
    starts[1]?.resolve(successor);
    expect(await restarting).toBe(successor);
  });

  it("counts a child that exits twice once", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    const actor = stage.actor("a");
    actor.exit(crash);
    actor.exit(crash);
    await settle();
    expect(supervisor.child("a")?.restarts).toBe(1);
  });
});

describe("ChildSpec.onEvent", () => {
  it("may throw or reject without affecting the supervisor", async () => {
    for (const onEvent of [
      () => {
        throw new Error("no");
      },
      async () => {
        throw new Error("no");
      },
    ]) {
      const stage = new Stage();
      const supervisor = await stage.supervise([stage.spec("a", { onEvent })]);
      await stage.exit("a");
      expect(supervisor.countChildren().active).toBe(1);
      await supervisor.stop();
    }
  });

  it("may call the supervisor", async () => {
    const stage = new Stage();
    const ended = Promise.withResolvers<void>();
    const onEvent: ChildSpec["onEvent"] = ({ type }) => {
      if (type === "exited") void supervisor.stop().then(ended.resolve);
    };
    const supervisor = await stage.supervise([stage.spec("a", { onEvent }), stage.spec("b")]);
    stage.actor("a").exit(crash);
    await ended.promise;
    expect(stage.playing).toEqual([]);
  });

  it("receives the events of its own child only, in one order for all listeners", async () => {
    const stage = new Stage();
    const events: string[] = [];
    const listening = (id: string): ChildSpec =>
      stage.spec(id, {
        onEvent: (event) => {
          events.push(`${event.type} ${id}`);
          if (id === "a") throw new Error("no");
        },
      });
    const supervisor = await stage.supervise(["a", "b", "c"].map(listening), { strategy: "rest_for_one" });
    await stage.exit("b");
    await supervisor.terminateChild("a");
    expect(events).toEqual([
      ...["started a", "started b", "started c"],
      ...["exited b", "restarting b", "terminated c", "started b", "started c"],
      "terminated a",
    ]);
  });

  it("receives every event before the supervisor has ended", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b"));
    await supervisor.stop();
    expect(stage.takeEvents()).toEqual(["started a", "started b", "terminated b", "terminated a"]);
  });
});
