import { expect } from "vitest";
import { ChildSupervisor } from "../../src/supervision/supervisor.ts";
import { checkRules, type OtpRule } from "./otp-rule.ts";
import { crash, normal, type Stage, shutdown } from "./stage.ts";

/** Returns a supervisor whose one child `a` waits for its second restart. */
async function waiting(stage: Stage): Promise<ChildSupervisor> {
  const supervisor = await stage.supervise(stage.specs("a"));
  stage.failNext("a", "down");
  await stage.exit("a");
  return supervisor;
}

const rules: OtpRule[] = [
  {
    source: "supervisor, start_child/2",
    rule: "adds a child at the end of the start order and starts it",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"));
      const child = await supervisor.startChild(stage.spec("b"));
      expect(child).toBe(stage.actor("b"));
      stage.take();
      await supervisor.stop();
      expect(stage.take()).toEqual(["stop b", "stop a"]);
    },
  },
  {
    source: "sup_princ, Adding a Child Process",
    rule: "loses children that were added when the supervisor is restarted",
    check: async (stage) => {
      const spec = stage.nested("inner", stage.specs("a"), { onMaxRestarts: "escalate", maxRestarts: 0 });
      const top = await stage.supervise([spec]);
      const inner = top.child("inner")?.child;
      if (!(inner instanceof ChildSupervisor)) throw new Error("inner is not up");
      await inner.startChild(stage.spec("b"));
      await stage.exit("a");
      expect(stage.playing).toEqual(["a"]);
    },
  },
  {
    source: "supervisor, start_child/2",
    rule: "refuses a taken id with CHILD_ALREADY_STARTED if its child runs",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"));
      await expect(supervisor.startChild(stage.spec("a"))).rejects.toMatchObject({ code: "CHILD_ALREADY_STARTED" });
    },
  },
  {
    source: "supervisor, start_child/2",
    rule: "refuses a taken id with CHILD_ALREADY_PRESENT if its child does not run",
    check: async (stage) => {
      const supervisor = await waiting(stage);
      await expect(supervisor.startChild(stage.spec("a"))).rejects.toMatchObject({ code: "CHILD_ALREADY_PRESENT" });
      await supervisor.terminateChild("a");
      await expect(supervisor.startChild(stage.spec("a"))).rejects.toMatchObject({ code: "CHILD_ALREADY_PRESENT" });
    },
  },
  {
    source: "supervisor, start_child/2",
    rule: "discards the spec and returns the error if the start fails",
    check: async (stage) => {
      const supervisor = await stage.supervise([]);
      stage.failNext("a", "no a");
      const starting = supervisor.startChild(stage.spec("a"));
      await expect(starting).rejects.toMatchObject({ code: "CHILD_START_FAILED", cause: "no a" });
      expect(supervisor.whichChildren()).toEqual([]);
    },
  },
  {
    source: "supervisor, terminate_child/2",
    rule: "stops the child and keeps its spec",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"));
      await supervisor.terminateChild("a");
      expect(supervisor.child("a")).toMatchObject({ state: "terminated", child: undefined });
    },
  },
  {
    source: "supervisor, terminate_child/2",
    rule: "deletes the spec of a temporary child with the child",
    check: async (stage) => {
      const supervisor = await stage.supervise([stage.spec("a", { restart: "temporary" })]);
      await supervisor.terminateChild("a");
      expect(supervisor.child("a")).toBeUndefined();
      await expect(supervisor.restartChild("a")).rejects.toMatchObject({ code: "CHILD_NOT_FOUND" });
    },
  },
  {
    source: "supervisor, terminate_child/2",
    rule: "accepts the termination of a child that does not run",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"));
      await supervisor.terminateChild("a");
      await supervisor.terminateChild("a");
      expect(stage.take()).toEqual(["start a", "stop a"]);
    },
  },
  {
    source: "supervisor, restart_child/2",
    rule: "starts a terminated child again, in its old place",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a", "b"));
      await supervisor.terminateChild("a");
      expect(await supervisor.restartChild("a")).toBe(stage.actor("a"));
      expect(supervisor.whichChildren().map(({ id }) => id)).toEqual(["a", "b"]);
    },
  },
  {
    source: "supervisor, restart_child/2",
    rule: "refuses restartChild while the child runs or is about to be restarted",
    check: async (stage) => {
      const supervisor = await waiting(stage);
      await expect(supervisor.restartChild("a")).rejects.toMatchObject({ code: "CHILD_RESTARTING" });
      await stage.clock.advance(100);
      await expect(supervisor.restartChild("a")).rejects.toMatchObject({ code: "CHILD_RUNNING" });
    },
  },
  {
    source: "supervisor, restart_child/2",
    rule: "returns the error and leaves the child terminated if the start fails",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"));
      await supervisor.terminateChild("a");
      stage.failNext("a", "no a");
      await expect(supervisor.restartChild("a")).rejects.toMatchObject({ code: "CHILD_START_FAILED", cause: "no a" });
      await stage.clock.advance(60_000);
      expect(supervisor.child("a")?.state).toBe("terminated");
    },
  },
  {
    source: "supervisor, delete_child/2",
    rule: "deletes the spec of a child that does not run, and frees its id",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"));
      await supervisor.terminateChild("a");
      await supervisor.deleteChild("a");
      await supervisor.startChild(stage.spec("a"));
      expect(supervisor.child("a")?.state).toBe("running");
    },
  },
  {
    source: "supervisor, delete_child/2",
    rule: "refuses deleteChild while the child runs or is about to be restarted",
    check: async (stage) => {
      const supervisor = await waiting(stage);
      await expect(supervisor.deleteChild("a")).rejects.toMatchObject({ code: "CHILD_RESTARTING" });
      await stage.clock.advance(100);
      await expect(supervisor.deleteChild("a")).rejects.toMatchObject({ code: "CHILD_RUNNING" });
    },
  },
  ...(["terminateChild", "restartChild", "deleteChild", "recycleChild"] as const).map(
    (call): OtpRule => ({
      source: "supervisor, terminate_child/2, restart_child/2, delete_child/2",
      rule: `refuses ${call} of an unknown child`,
      check: async (stage) => {
        const supervisor = await stage.supervise([]);
        await expect(supervisor[call]("x")).rejects.toMatchObject({
          code: "CHILD_NOT_FOUND",
          message: "there is no child x",
        });
      },
    }),
  ),
  {
    source: "supervisor, which_children/1",
    rule: "lists every spec: with its child, restarting, or without a child",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a", "b", "c"));
      stage.failNext("b", "down");
      await stage.exit("b");
      await supervisor.terminateChild("c");
      expect(supervisor.whichChildren().map(({ id, state, child }) => [id, state, child !== undefined])).toEqual([
        ["a", "running", true],
        ["b", "restarting", false],
        ["c", "terminated", false],
      ]);
    },
  },
  {
    source: "supervisor, count_children/1",
    rule: "counts specs, active children, supervisors and workers, the last two dead or alive",
    check: async (stage) => {
      const supervisor = await stage.supervise([...stage.specs("a", "b"), stage.nested("s", [])]);
      await supervisor.terminateChild("a");
      await supervisor.terminateChild("s");
      expect(supervisor.countChildren()).toEqual({ specs: 3, active: 1, supervisors: 1, workers: 2 });
    },
  },
  ...(
    [
      ["transient", normal],
      ["transient", shutdown],
      ["temporary", normal],
      ["temporary", crash],
    ] as const
  ).map(
    ([restart, exit]): OtpRule => ({
      source: "supervisor, Automatic Shutdown: any_significant",
      rule: `ends the supervisor when a significant ${restart} child ends ${exit.reason}`,
      check: async (stage) => {
        const worker = stage.spec("w", { restart, significant: true });
        const supervisor = await stage.supervise([stage.spec("a"), worker, stage.spec("z")], {
          autoShutdown: "any_significant",
        });
        stage.take();
        await stage.exit("w", exit);
        expect(await supervisor.exited).toEqual({ reason: "shutdown" });
        expect(stage.take()).toEqual(["stop z", "stop a"]);
      },
    }),
  ),
  {
    source: "supervisor, Automatic Shutdown: any_significant",
    rule: "restarts a significant transient child that crashes, and goes on when an insignificant one ends",
    check: async (stage) => {
      const children = [
        stage.spec("a", { restart: "transient", significant: true }),
        stage.spec("b", { restart: "transient" }),
      ];
      const supervisor = await stage.supervise(children, { autoShutdown: "any_significant" });
      await stage.exit("a", crash);
      await stage.exit("b", normal);
      expect(supervisor.whichChildren().map(({ state }) => state)).toEqual(["running", "terminated"]);
    },
  },
  {
    source: "supervisor, Automatic Shutdown: all_significant",
    rule: "ends the supervisor when the last significant child ends",
    check: async (stage) => {
      const significant = { restart: "transient", significant: true } as const;
      const children = [stage.spec("a", significant), stage.spec("b", significant), stage.spec("c")];
      const supervisor = await stage.supervise(children, { autoShutdown: "all_significant" });
      await stage.exit("b", normal);
      expect(stage.playing).toEqual(["a", "c"]);
      await stage.exit("a", normal);
      expect(await supervisor.exited).toEqual({ reason: "shutdown" });
      expect(stage.playing).toEqual([]);
    },
  },
  {
    source: "sup_princ, Automatic Shutdown, note",
    rule: "goes on when a significant child is terminated by a call",
    check: async (stage) => {
      const worker = stage.spec("w", { restart: "transient", significant: true });
      const supervisor = await stage.supervise([worker, stage.spec("a")], { autoShutdown: "any_significant" });
      await supervisor.terminateChild("w");
      expect(stage.playing).toEqual(["a"]);
    },
  },
  {
    source: "sup_princ, Automatic Shutdown, note",
    rule: "goes on when a significant child is stopped because a sibling died",
    check: async (stage) => {
      const worker = stage.spec("w", { restart: "temporary", significant: true });
      const options = { autoShutdown: "any_significant", strategy: "one_for_all" } as const;
      await stage.supervise([stage.spec("a"), worker], options);
      await stage.exit("a");
      expect(stage.playing).toEqual(["a"]);
    },
  },
  {
    source: "supervisor.erl, check_startspec: duplicate_child_name",
    rule: "refuses two children with one id before it starts any",
    check: async (stage) => {
      const starting = stage.supervise(stage.specs("a", "b", "a"));
      await expect(starting).rejects.toMatchObject({
        code: "INVALID_OPTIONS",
        message: expect.stringContaining("a"),
      });
      expect(stage.take()).toEqual([]);
    },
  },
];

checkRules("ChildSupervisor: OTP's rules of calls and automatic shutdown", rules);
