import { describe, expect, it } from "vitest";
import type { Disposition } from "../../src/supervision/child-spec.ts";
import { settle } from "./simulated-clock.ts";
import { crash, Stage } from "./stage.ts";

const once = { maxRestarts: 1, maxSeconds: 60 } as const;

/** Returns the value that a failed start throws to declare its disposition. */
function failure(disposition: Disposition): { disposition: Disposition } {
  return { disposition };
}

describe("ChildSupervisor with a child that ends too often", () => {
  it("quarantines that child alone, with its last exits, and leaves the others running", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b"), once);
    const other = stage.actor("b");
    await stage.exit("a");
    await stage.clock.advance(10);
    await stage.exit("a", { reason: "abnormal", cause: "again" });
    expect(supervisor.child("a")).toMatchObject({
      state: "quarantined",
      child: undefined,
      lastExits: [
        { exit: crash, at: 0 },
        { exit: { reason: "abnormal", cause: "again" }, at: 10 },
      ],
    });
    expect(stage.actor("b")).toBe(other);
    expect(stage.takeEvents().slice(-2)).toEqual(["exited a", "quarantined a"]);
  });

  it("counts the restarts of each child separately", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b", "c"), once);
    for (const id of ["a", "b", "c"]) await stage.exit(id);
    expect(supervisor.countChildren().active).toBe(3);
  });

  it.each(["one_for_all", "rest_for_one"] as const)("leaves its siblings untouched under %s", async (strategy) => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b", "c"), { ...once, strategy });
    await stage.exit("b");
    stage.take();
    await stage.exit("b");
    expect(stage.take()).toEqual([]);
    expect(supervisor.whichChildren().map(({ state }) => state)).toEqual(["running", "quarantined", "running"]);
  });

  it.each(["one_for_all", "rest_for_one"] as const)(
    "stays quarantined when a sibling is restarted under %s",
    async (strategy) => {
      const stage = new Stage();
      await stage.supervise(stage.specs("a", "b", "c"), { ...once, strategy });
      await stage.exit("b", { reason: "abnormal", disposition: "quarantine" });
      stage.take();
      await stage.exit("a");
      expect(stage.take()).toEqual(["stop c", "start a", "start c"]);
    },
  );

  it("starts the rest of a group without a child that is quarantined during the group's restart", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b", "c"), { ...once, strategy: "one_for_all" });
    stage.failNext("b", "down", failure("quarantine"));
    await stage.exit("a");
    expect(supervisor.whichChildren().map(({ state }) => state)).toEqual(["running", "quarantined", "running"]);
  });

  it("keeps the last ten exits of a child", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    for (let number = 1; number <= 12; number += 1) {
      await stage.exit("a", { reason: "abnormal", cause: number });
      await stage.clock.advance(6_000);
    }
    const causes = supervisor.child("a")?.lastExits.map(({ exit }) => exit.cause);
    expect(causes).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });
});

describe("a quarantined child", () => {
  it.each(["restartChild", "recycleChild"] as const)(
    "leaves quarantine by %s, which counts no restart",
    async (call) => {
      const stage = new Stage();
      const supervisor = await stage.supervise(stage.specs("a"), once);
      await stage.exit("a");
      await stage.exit("a");
      await supervisor[call]("a");
      expect(supervisor.child("a")).toMatchObject({ state: "running", restarts: 0 });
      expect(supervisor.child("a")?.lastExits.length).toBe(2);
      await stage.exit("a");
      expect(supervisor.child("a")).toMatchObject({ state: "running", restarts: 1 });
    },
  );

  it("stays quarantined after terminateChild and after a failed restartChild", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"), { maxRestarts: 0 });
    await stage.exit("a");
    await supervisor.terminateChild("a");
    expect(supervisor.child("a")?.state).toBe("quarantined");
    stage.failNext("a", "still down");
    await expect(supervisor.restartChild("a")).rejects.toMatchObject({ code: "CHILD_START_FAILED" });
    expect(supervisor.child("a")?.state).toBe("quarantined");
  });

  it("is removed by deleteChild", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"), { maxRestarts: 0 });
    await stage.exit("a");
    await supervisor.deleteChild("a");
    expect(supervisor.whichChildren()).toEqual([]);
  });
});

describe("ChildExit.disposition", () => {
  it("restarts without counting, but with back-off, when it is free", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"), { maxRestarts: 0 });
    for (const delay of [0, 100, 200, 400, 800, 1_600]) {
      await stage.exit("a", { reason: "abnormal", disposition: "free" });
      if (delay > 0) expect(supervisor.child("a")?.retryAt).toBe(stage.clock.now() + delay);
      await stage.clock.advance(delay);
    }
    expect(supervisor.child("a")).toMatchObject({ state: "running", restarts: 6 });
  });

  it("quarantines at once when it is quarantine", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b"));
    await stage.exit("a", { reason: "abnormal", disposition: "quarantine" });
    expect(supervisor.whichChildren().map(({ state }) => state)).toEqual(["quarantined", "running"]);
  });

  it("ends the supervisor at once when it is quarantine and onMaxRestarts is escalate", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b"), { onMaxRestarts: "escalate" });
    await stage.exit("a", { reason: "abnormal", disposition: "quarantine", cause: new Error("no key") });
    const { reason, cause } = await supervisor.exited;
    expect(reason).toBe("abnormal");
    expect(cause).toMatchObject({
      code: "SUPERVISOR_STOPPED",
      message: expect.stringMatching(/child a .*no key/),
    });
  });

  it("applies to abnormal exits only", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    await stage.exit("a", { reason: "normal", disposition: "quarantine" });
    expect(supervisor.child("a")?.state).toBe("running");
  });

  it("applies to the error of a failed start, and is ignored there when it is invalid", async () => {
    const stage = new Stage();
    stage.failNext("a", failure("quarantine"));
    stage.failNext("b", { disposition: "whatever" });
    stage.failNext("c", null);
    const supervisor = await stage.supervise(stage.specs("a", "b", "c"));
    await settle();
    expect(supervisor.whichChildren().map(({ state }) => state)).toEqual(["quarantined", "running", "running"]);
  });
});

describe("ChildSupervisor with a child that fails its first start", () => {
  it("leaves the others started and tries the child again on its own", async () => {
    const stage = new Stage();
    stage.failNext("b", "down", "down");
    const supervisor = await stage.supervise(stage.specs("a", "b", "c"), { strategy: "one_for_all" });
    expect(supervisor.whichChildren().map(({ state }) => state)).toEqual(["running", "restarting", "running"]);
    await stage.clock.advance(100);
    expect(stage.take()).toEqual(["start a", "start b", "start b", "start c", "start b"]);
    expect(supervisor.countChildren().active).toBe(3);
  });

  it("treats the child as any other sibling afterwards", async () => {
    const stage = new Stage();
    stage.failNext("b", "down");
    await stage.supervise(stage.specs("a", "b"), { strategy: "one_for_all" });
    stage.take();
    await stage.exit("b");
    // Its own first start was the first restart of the series, so this one waits.
    await stage.clock.advance(100);
    expect(stage.take()).toEqual(["stop a", "start a", "start b"]);
  });

  it("quarantines the child after six failed starts in a row, however long each takes", async () => {
    const stage = new Stage();
    let starts = 0;
    const start = (): Promise<never> => {
      starts++;
      const { promise, reject } = Promise.withResolvers<never>();
      stage.clock.schedule(10_000, () => reject(new Error("no answer")));
      return promise;
    };
    const opening = stage.supervise([{ id: "a", start }, ...stage.specs("b")]);
    await stage.clock.advance(10_000);
    const supervisor = await opening;
    await stage.clock.advance(600_000);
    expect(starts).toBe(6);
    expect(supervisor.whichChildren()).toMatchObject([
      { id: "a", state: "quarantined" },
      { id: "b", state: "running" },
    ]);
  });

  it("ends after `maxRestarts` + 1 failed starts when onMaxRestarts is escalate", async () => {
    const stage = new Stage();
    let starts = 0;
    const start = (): Promise<never> => {
      starts++;
      const { promise, reject } = Promise.withResolvers<never>();
      stage.clock.schedule(10_000, () => reject(new Error("no answer")));
      return promise;
    };
    const opening = stage.supervise([{ id: "a", start }], { onMaxRestarts: "escalate", maxRestarts: 8 });
    await stage.clock.advance(10_000);
    const supervisor = await opening;
    await stage.clock.advance(600_000);
    expect(await supervisor.exited).toMatchObject({ reason: "abnormal", cause: { code: "SUPERVISOR_STOPPED" } });
    expect(starts).toBe(9);
  });

  it("deletes a temporary child", async () => {
    const stage = new Stage();
    stage.failNext("a", "down");
    const supervisor = await stage.supervise([stage.spec("a", { restart: "temporary" }), ...stage.specs("b")]);
    expect(supervisor.whichChildren()).toMatchObject([{ id: "b" }]);
  });
});

describe("a restart series", () => {
  it("passes its attempt number to each start and doubles the delay", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"), { maxRestarts: 9 });
    for (const delay of [0, 100, 200, 400]) {
      await stage.exit("a");
      await stage.clock.advance(delay);
    }
    expect(stage.contexts.get("a")?.map(({ attempt }) => attempt)).toEqual([0, 1, 2, 3, 4]);
    expect(supervisor.child("a")?.restarts).toBe(4);
    const delays = stage.events.flatMap((event) => (event.type === "restarting" ? [event.delay] : []));
    expect(delays).toEqual([0, 100, 200, 400]);
  });

  it("ends once the child has run for maxSeconds", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"), { maxSeconds: 5 });
    await stage.exit("a");
    await stage.clock.advance(4_999);
    expect(supervisor.child("a")?.restarts).toBe(1);
    await stage.clock.advance(1);
    expect(supervisor.child("a")?.restarts).toBe(0);
    await stage.exit("a");
    expect(stage.contexts.get("a")?.map(({ attempt }) => attempt)).toEqual([0, 1, 1]);
  });

  it("ends only once the child has run as long as its last delay", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"), { maxRestarts: 9, maxSeconds: 0.05 });
    await stage.exit("a");
    await stage.exit("a");
    await stage.clock.advance(100 + 99);
    expect(supervisor.child("a")?.restarts).toBe(2);
    await stage.clock.advance(1);
    expect(supervisor.child("a")?.restarts).toBe(0);
  });

  it("ends early by recycleChild, which does not wait", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b"), { strategy: "one_for_all" });
    await stage.exit("a");
    await stage.exit("a");
    expect(supervisor.child("a")?.retryAt).toBe(100);
    stage.take();
    await supervisor.recycleChild("a");
    expect(stage.take()).toEqual(["start a", "start b"]);
    expect(supervisor.child("a")?.restarts).toBe(0);
    expect(stage.clock.timers).toBe(0);
  });
});

describe("ChildSupervisor.recycleChild", () => {
  it("restarts no sibling and counts no restart", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a", "b"), { strategy: "one_for_all", maxRestarts: 0 });
    stage.take();
    for (let times = 0; times < 5; times += 1) await supervisor.recycleChild("a");
    expect(stage.take()).toEqual(Array.from({ length: 5 }, () => ["stop a", "start a"]).flat());
  });

  it("keeps a temporary child", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise([stage.spec("a", { restart: "temporary" })]);
    await supervisor.recycleChild("a");
    expect(supervisor.child("a")?.state).toBe("running");
  });

  it("applies the restart rules to a child that fails to start", async () => {
    const stage = new Stage();
    const supervisor = await stage.supervise(stage.specs("a"));
    stage.failNext("a", "down");
    await expect(supervisor.recycleChild("a")).rejects.toMatchObject({ code: "CHILD_START_FAILED", cause: "down" });
    await settle();
    expect(supervisor.child("a")).toMatchObject({ state: "running", restarts: 1 });
  });
});
