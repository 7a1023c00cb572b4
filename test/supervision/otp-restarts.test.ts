import { expect } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import type { Restart } from "../../src/supervision/child-spec.ts";
import { checkRules, type OtpRule } from "./otp-rule.ts";
import { crash, normal, type Stage, shutdown } from "./stage.ts";

async function runningAfter(stage: Stage, restart: Restart, exit = crash): Promise<string> {
  const supervisor = await stage.supervise([stage.spec("a", { restart })]);
  await stage.exit("a", exit);
  return supervisor.child("a")?.state ?? "deleted";
}

const escalate = { onMaxRestarts: "escalate" } as const;

const rules: OtpRule[] = [
  {
    source: "sup_princ, Supervision Principles",
    rule: "starts children in the order of the list",
    check: async (stage) => {
      await stage.supervise(stage.specs("a", "b", "c"));
      expect(stage.take()).toEqual(["start a", "start b", "start c"]);
    },
  },
  {
    source: "sup_princ, Supervision Principles; Stopping",
    rule: "stops children in reverse start order, and then ends",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a", "b", "c"));
      stage.take();
      await supervisor.stop();
      expect(stage.take()).toEqual(["stop c", "stop b", "stop a"]);
      expect(await supervisor.exited).toEqual({ reason: "shutdown" });
    },
  },
  {
    source: "sup_princ, Starting a Supervisor",
    rule: "starts one child after the other, and returns when all run",
    check: async (stage) => {
      const release = stage.holdStart("a");
      const starting = stage.supervise(stage.specs("a", "b"));
      await stage.clock.advance(60_000);
      expect(stage.take()).toEqual(["start a"]);
      release();
      const supervisor = await starting;
      expect(supervisor.countChildren().active).toBe(2);
    },
  },
  {
    source: "supervisor, start_link/3",
    rule: "stops the started children and fails if a child does not start",
    deviates: "only with onStartFailure abort",
    check: async (stage) => {
      stage.failNext("c", "no c");
      const starting = stage.supervise(stage.specs("a", "b", "c", "d"), { onStartFailure: "abort" });
      await expect(starting).rejects.toMatchObject({
        code: "CHILD_START_FAILED",
        message: "child c failed to start",
        cause: "no c",
      });
      expect(stage.take()).toEqual(["start a", "start b", "start c", "stop b", "stop a"]);
    },
  },
  {
    source: "supervisor, Restart Strategies: one_for_one",
    rule: "restarts only the child that ended, by default",
    check: async (stage) => {
      await stage.supervise(stage.specs("a", "b", "c"));
      stage.take();
      await stage.exit("b");
      expect(stage.take()).toEqual(["start b"]);
    },
  },
  {
    source: "supervisor, Restart Strategies: one_for_all",
    rule: "stops all others, and then starts all",
    check: async (stage) => {
      await stage.supervise(stage.specs("a", "b", "c"), { strategy: "one_for_all" });
      stage.take();
      await stage.exit("b");
      expect(stage.take()).toEqual(["stop c", "stop a", "start a", "start b", "start c"]);
    },
  },
  {
    source: "supervisor, Restart Strategies: rest_for_one",
    rule: "stops the children after it in start order, then starts it and them",
    check: async (stage) => {
      await stage.supervise(stage.specs("a", "b", "c", "d"), { strategy: "rest_for_one" });
      stage.take();
      await stage.exit("b");
      expect(stage.take()).toEqual(["stop d", "stop c", "start b", "start c", "start d"]);
    },
  },
  ...(["one_for_all", "rest_for_one"] as const).map(
    (strategy): OtpRule => ({
      source: "supervisor, Restart Strategies",
      rule: `leaves the others alone under ${strategy} when the child that ended is not restarted`,
      check: async (stage) => {
        const quiet = stage.spec("a", { restart: "transient" });
        await stage.supervise([quiet, ...stage.specs("b", "c")], { strategy });
        stage.take();
        await stage.exit("a", normal);
        expect(stage.take()).toEqual([]);
      },
    }),
  ),
  {
    source: "supervisor, terminate_child/2",
    rule: "restarts a terminated child with its siblings",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a", "b"), { strategy: "one_for_all" });
      await supervisor.terminateChild("b");
      stage.take();
      await stage.exit("a");
      expect(stage.take()).toEqual(["start a", "start b"]);
    },
  },
  ...(["permanent", "transient", "temporary"] as const).flatMap((restart) =>
    [normal, shutdown, crash].map(
      (exit): OtpRule => ({
        source: "supervisor, Child specification: restart",
        rule: `leaves a ${restart} child that ends ${exit.reason} ${stateAfter(restart, exit.reason)}`,
        check: async (stage) => expect(await runningAfter(stage, restart, exit)).toBe(stateAfter(restart, exit.reason)),
      }),
    ),
  ),
  {
    source: "supervisor, Child specification: restart",
    rule: "deletes a temporary child that is stopped because a sibling ended, and does not restart it",
    check: async (stage) => {
      const children = [stage.spec("a"), stage.spec("t", { restart: "temporary" }), stage.spec("z")];
      const supervisor = await stage.supervise(children, { strategy: "one_for_all" });
      stage.take();
      await stage.exit("a");
      expect(stage.take()).toEqual(["stop z", "stop t", "start a", "start z"]);
      expect(supervisor.child("t")).toBeUndefined();
    },
  },
  {
    source: "supervisor, Child specification: restart",
    rule: "makes a child permanent by default",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"));
      expect(supervisor.child("a")?.restart).toBe("permanent");
    },
  },
  ...(["brutal_kill", "infinity", 1_234] as const).map(
    (how): OtpRule => ({
      source: "supervisor, Child specification: shutdown",
      rule: `stops a child with its own shutdown, here ${how}`,
      check: async (stage) => {
        const supervisor = await stage.supervise([stage.spec("a", { shutdown: how })]);
        const actor = stage.actor("a");
        await supervisor.stop();
        expect(actor.stops).toEqual([how]);
      },
    }),
  ),
  {
    source: "supervisor, Child specification: shutdown",
    rule: "gives a worker 5,000 ms to stop and a supervisor infinity by default",
    check: async (stage) => {
      const supervisor = await stage.supervise([stage.spec("w"), stage.spec("s", { type: "supervisor" })]);
      const [worker, other] = [stage.actor("w"), stage.actor("s")];
      await supervisor.stop();
      expect([worker.stops, other.stops]).toEqual([[5_000], ["infinity"]]);
    },
  },
  {
    source: "supervisor, Child specification: shutdown",
    rule: "kills a child that has not ended in its shutdown time",
    check: async (stage) => {
      const supervisor = await stage.supervise([stage.spec("a", { shutdown: 300 })]);
      const actor = stage.actor("a");
      const release = stage.holdStop("a");
      const stopping = supervisor.stop();
      await stage.clock.advance(299);
      expect(actor.stops).toEqual([300]);
      await stage.clock.advance(1);
      expect(actor.stops).toEqual([300, "brutal_kill"]);
      release();
      await stopping;
      expect(stage.clock.timers).toBe(0);
    },
  },
  {
    source: "supervisor, Restart intensity and period",
    rule: "stops all children and ends after more than maxRestarts within maxSeconds",
    deviates:
      "with onMaxRestarts escalate, and abnormal where OTP says shutdown, so that a transient supervisor comes back too",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a", "b"), { ...escalate, maxRestarts: 1 });
      await stage.exit("a");
      stage.take();
      await stage.exit("b");
      expect(stage.take()).toEqual(["stop a"]);
      const { reason, cause } = await supervisor.exited;
      expect(reason).toBe("abnormal");
      expect(cause).toBeInstanceOf(CastellanError);
      expect(cause).toMatchObject({
        code: "SUPERVISOR_STOPPED",
        message: expect.stringContaining("child b ended once too often"),
        cause: "crash",
      });
    },
  },
  {
    source: "supervisor, Restart intensity and period",
    rule: "ignores restarts older than maxSeconds",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"), { ...escalate, maxRestarts: 1, maxSeconds: 5 });
      for (let times = 0; times < 10; times += 1) {
        await stage.exit("a");
        await stage.clock.advance(5_001);
      }
      expect(supervisor.countChildren().active).toBe(1);
    },
  },
  {
    source: "supervisor, Restart intensity and period",
    rule: "ends at the first restart with an intensity of 0",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"), { ...escalate, maxRestarts: 0 });
      await stage.exit("a");
      expect((await supervisor.exited).reason).toBe("abnormal");
    },
  },
  {
    source: "supervisor, Restart intensity and period",
    rule: "counts a child that ends normally like any other if it is restarted",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"), { ...escalate, maxRestarts: 0 });
      await stage.exit("a", normal);
      expect((await supervisor.exited).reason).toBe("abnormal");
    },
  },
  {
    source: "supervisor, Restart intensity and period",
    rule: "counts a restart of many children once",
    check: async (stage) => {
      const options = { ...escalate, strategy: "one_for_all", maxRestarts: 1 } as const;
      const supervisor = await stage.supervise(stage.specs("a", "b", "c"), options);
      await stage.exit("a");
      expect(supervisor.countChildren().active).toBe(3);
    },
  },
  {
    source: "sup_princ, Maximum Restart Intensity",
    rule: "makes the supervisor above restart it or give up too when it gives up",
    check: async (stage) => {
      const inner = stage.nested("inner", stage.specs("a"), { ...escalate, maxRestarts: 1 });
      const top = await stage.supervise([inner], { ...escalate, maxRestarts: 1 });
      await stage.exit("a");
      await stage.exit("a");
      expect(stage.take()).toEqual(["start inner", "start a", "start a", "start inner", "start a"]);
      await stage.exit("a");
      await stage.exit("a");
      expect((await top.exited).reason).toBe("abnormal");
      expect(stage.playing).toEqual([]);
    },
  },
  {
    source: "supervisor.erl, restart/2 and handle_cast try_again_restart",
    rule: "counts a failed restart as another restart and tries again, while it answers calls",
    deviates: "it is tried again after a back-off",
    check: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"), { ...escalate, maxRestarts: 2 });
      stage.failNext("a", "down", "down");
      await stage.exit("a");
      expect(supervisor.child("a")?.state).toBe("restarting");
      await supervisor.startChild(stage.spec("b"));
      expect(supervisor.countChildren()).toEqual({ specs: 2, active: 1, supervisors: 0, workers: 2 });
      await stage.clock.advance(100);
      expect((await supervisor.exited).reason).toBe("abnormal");
    },
  },
  {
    source: "supervisor.erl, restart_multiple_children",
    rule: "applies the strategy again from the child that fails in a restart of many",
    check: async (stage) => {
      await stage.supervise(stage.specs("a", "b", "c", "d"), { strategy: "rest_for_one" });
      stage.failNext("c", "down");
      stage.take();
      await stage.exit("b");
      expect(stage.take()).toEqual(["stop d", "stop c", "start b", "start c", "start c", "start d"]);
    },
  },
];

function stateAfter(restart: Restart, reason: string): string {
  if (restart === "temporary") return "deleted";
  return restart === "transient" && reason !== "abnormal" ? "terminated" : "running";
}

checkRules("ChildSupervisor: OTP's rules of starting, stopping and restarting", rules);
