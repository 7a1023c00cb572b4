import { describe, expect, it } from "vitest";
import { settle } from "./simulated-clock.ts";
import { crash, Stage } from "./stage.ts";

describe("ChildSupervisor after a crash", () => {
  it("merges a pending restart of later siblings into the restart of an earlier one", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b", "c", "d"), { strategy: "rest_for_one" });
    const release = stage.holdStart("c");
    stage.take();
    await stage.exit("c");
    await stage.exit("b");
    release();
    await settle();
    expect(stage.take()).toEqual(["stop d", "start c", "stop c", "start b", "start c", "start d"]);
    expect(supervisor.countChildren().active).toBe(4);
  });

  it("starts the children that an earlier restart had not yet started", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b", "c", "d"), { strategy: "rest_for_one" });
    await stage.exit("c", { reason: "abnormal", disposition: "quarantine" });
    stage.failNext("a", "down");
    await stage.exit("a");
    await supervisor.terminateChild("a");
    await supervisor.recycleChild("c");
    stage.take();
    await stage.exit("c");
    expect(stage.take()).toEqual(["start b", "start c", "start d"]);
  });

  it("stops the children that an earlier restart had not yet stopped", async () => {
    const stage = new Stage();
    const children = [stage.spec("a"), stage.spec("t", { restart: "temporary" }), ...stage.specs("c", "d")];
    const supervisor = await stage.supervise(children, { strategy: "rest_for_one" });
    await stage.exit("c", { reason: "abnormal", disposition: "quarantine" });
    const release = stage.holdStop("d");
    await stage.exit("a");
    await supervisor.recycleChild("c");
    stage.take();
    await stage.exit("c");
    release();
    await settle();
    expect(stage.take()).toEqual(["stop t", "start a", "start c", "start d"]);
    expect(stage.playing).toEqual(["a", "c", "d"]);
  });

  it("restarts a sibling that startChild is starting, and resolves startChild with the second child", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"), { strategy: "one_for_all" });
    const release = stage.holdStart("b");
    const starting = supervisor.startChild(stage.spec("b"));
    stage.take();
    await stage.exit("a");
    release();
    expect(await starting).toBe(stage.actor("b"));
    expect(stage.take()).toEqual(["stop b", "start a", "start b"]);
  });

  it("aborts the start of a temporary sibling, and rejects its startChild with CHILD_START_FAILED", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"), { strategy: "one_for_all" });
    const release = stage.holdStart("t");
    const starting = supervisor.startChild(stage.spec("t", { restart: "temporary" }));
    const refused = expect(starting).rejects.toMatchObject({
      code: "CHILD_START_FAILED",
      message: "the start of child t was cancelled",
    });
    await stage.exit("a");
    await refused;
    release();
    await settle();
    expect(supervisor.child("t")).toBeUndefined();
    expect(stage.playing).toEqual(["a"]);
  });

  it("drops a sibling that startChild is adding and that then fails to start", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"), { strategy: "one_for_all" });
    const release = stage.holdStart("b");
    const starting = expect(supervisor.startChild(stage.spec("b"))).rejects.toMatchObject({
      code: "CHILD_START_FAILED",
    });
    await stage.exit("a");
    stage.failNext("b", "cancelled, and no caller sees it", "down");
    release();
    await starting;
    await settle();
    expect(supervisor.child("b")).toBeUndefined();
  });

  it("restarts a sibling whose restartChild has failed", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b"), { strategy: "one_for_all" });
    await supervisor.terminateChild("b");
    const release = stage.holdStart("b");
    const restarting = expect(supervisor.restartChild("b")).rejects.toMatchObject({ code: "CHILD_START_FAILED" });
    stage.actor("a").exit(crash);
    await settle();
    stage.failNext("b", "cancelled, and no caller sees it", "down");
    release();
    await restarting;
    await settle();
    expect(supervisor.child("b")?.state).toBe("running");
  });

  it("restarts a child added by startChild, also after a failed restart", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise([]);
    await supervisor.startChild(stage.spec("a"));
    stage.failNext("a", "down");
    await stage.exit("a");
    expect(supervisor.child("a")?.state).toBe("restarting");
  });

  it("counts no crash of a child that is waiting to be stopped", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b", "c"), { strategy: "one_for_all", maxRestarts: 1 });
    const release = stage.holdStop("c");
    await stage.exit("b");
    await stage.exit("a");
    release();
    await settle();
    expect(supervisor.countChildren().active).toBe(3);
    expect(supervisor.child("a")).toMatchObject({ restarts: 0, lastExits: [] });
    expect(stage.take().filter((line) => line === "stop a")).toEqual([]);
  });

  it("escalates through three levels", async () => {
    const stage = new Stage();
    const escalate = { onMaxRestarts: "escalate", maxRestarts: 1, maxSeconds: 60 } as const;
    const low = stage.nested("low", stage.specs("x"), escalate);
    const middle = stage.nested("middle", [low, ...stage.specs("m")], escalate);
    const top = await stage.supervise([...stage.specs("t"), middle], escalate);
    for (let crashes = 1; crashes <= 8; crashes += 1) {
      await stage.exit("x");
      await stage.clock.advance(1_000);
      if (crashes < 8) expect(stage.playing).toEqual(["m", "t", "x"]);
    }
    const { reason, cause } = await top.exited;
    expect(reason).toBe("abnormal");
    const ofChild = (id: string) => ({
      code: "SUPERVISOR_STOPPED",
      message: expect.stringMatching(`^child ${id} ended once too often`),
    });
    expect(cause).toMatchObject({
      ...ofChild("middle"),
      cause: { ...ofChild("low"), cause: { ...ofChild("x"), cause: "crash" } },
    });
    expect(stage.playing).toEqual([]);
    expect(stage.clock.timers).toBe(0);
  });
});
