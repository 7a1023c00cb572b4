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
    rule: "children are started in the order of the list",
    shows: async (stage) => {
      await stage.supervise(stage.specs("a", "b", "c"));
      expect(stage.take()).toEqual(["start a", "start b", "start c"]);
    },
  },
  {
    source: "sup_princ, Supervision Principles; Stopping",
    rule: "children are stopped in reverse start order, and then the supervisor ends",
    shows: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a", "b", "c"));
      stage.take();
      await supervisor.stop();
      expect(stage.take()).toEqual(["stop c", "stop b", "stop a"]);
      expect(await supervisor.exited).toEqual({ reason: "shutdown" });
    },
  },
  {
    source: "sup_princ, Starting a Supervisor",
    rule: "the start is synchronous: each child is up before the next is started, and all before it returns",
    shows: async (stage) => {
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
    rule: "if a child does not start, those already started are stopped and the start fails",
    deviates: "only with onStartFailure abort",
    shows: async (stage) => {
      stage.failNext("c", "no c");
      const starting = stage.supervise(stage.specs("a", "b", "c", "d"), { onStartFailure: "abort" });
      await expect(starting).rejects.toMatchObject({
        code: "CHILD_START_FAILED",
        message: "child c did not come up",
        cause: "no c",
      });
      expect(stage.take()).toEqual(["start a", "start b", "start c", "stop b", "stop a"]);
    },
  },
  {
    source: "supervisor, Restart Strategies: one_for_one",
    rule: "only the child that ended is affected, and it is the default",
    shows: async (stage) => {
      await stage.supervise(stage.specs("a", "b", "c"));
      stage.take();
      await stage.exit("b");
      expect(stage.take()).toEqual(["start b"]);
    },
  },
  {
    source: "supervisor, Restart Strategies: one_for_all",
    rule: "all others are stopped and then all are started",
    shows: async (stage) => {
      await stage.supervise(stage.specs("a", "b", "c"), { strategy: "one_for_all" });
      stage.take();
      await stage.exit("b");
      expect(stage.take()).toEqual(["stop c", "stop a", "start a", "start b", "start c"]);
    },
  },
  {
    source: "supervisor, Restart Strategies: rest_for_one",
    rule: "those after it in start order are stopped, then it and they are started",
    shows: async (stage) => {
      await stage.supervise(stage.specs("a", "b", "c", "d"), { strategy: "rest_for_one" });
      stage.take();
      await stage.exit("b");
      expect(stage.take()).toEqual(["stop d", "stop c", "start b", "start c", "start d"]);
    },
  },
  ...(["one_for_all", "rest_for_one"] as const).map(
    (strategy): OtpRule => ({
      source: "supervisor, Restart Strategies",
      rule: `${strategy} leaves the others alone when the child that ended is not restarted`,
      shows: async (stage) => {
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
    rule: "a child that was terminated can later be restarted by the supervisor, with its siblings",
    shows: async (stage) => {
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
        rule: `a ${restart} child that ends ${exit.reason} is ${stateAfter(restart, exit.reason)} afterwards`,
        shows: async (stage) => expect(await runningAfter(stage, restart, exit)).toBe(stateAfter(restart, exit.reason)),
      }),
    ),
  ),
  {
    source: "supervisor, Child specification: restart",
    rule: "a temporary child is not restarted even when a sibling's end stopped it, and its spec is deleted",
    shows: async (stage) => {
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
    rule: "a restart is permanent unless it says otherwise",
    shows: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"));
      expect(supervisor.child("a")?.restart).toBe("permanent");
    },
  },
  ...(["brutal_kill", "infinity", 1_234] as const).map(
    (how): OtpRule => ({
      source: "supervisor, Child specification: shutdown",
      rule: `a child is stopped with its own shutdown, here ${how}`,
      shows: async (stage) => {
        const supervisor = await stage.supervise([stage.spec("a", { shutdown: how })]);
        const actor = stage.actor("a");
        await supervisor.stop();
        expect(actor.stops).toEqual([how]);
      },
    }),
  ),
  {
    source: "supervisor, Child specification: shutdown",
    rule: "a worker has 5,000 ms to stop and a supervisor infinity, unless they say otherwise",
    shows: async (stage) => {
      const supervisor = await stage.supervise([stage.spec("w"), stage.spec("s", { type: "supervisor" })]);
      const [worker, other] = [stage.actor("w"), stage.actor("s")];
      await supervisor.stop();
      expect([worker.stops, other.stops]).toEqual([[5_000], ["infinity"]]);
    },
  },
  {
    source: "supervisor, Child specification: shutdown",
    rule: "a child that is not gone in its time is killed",
    shows: async (stage) => {
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
    rule: "more than maxRestarts within maxSeconds stop all children and end the supervisor",
    deviates:
      "with onMaxRestarts escalate, and abnormal where OTP says shutdown, so that a transient supervisor comes back too",
    shows: async (stage) => {
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
    rule: "restarts that are longer ago than maxSeconds do not count",
    shows: async (stage) => {
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
    rule: "with an intensity of 0 the first restart is one too many",
    shows: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"), { ...escalate, maxRestarts: 0 });
      await stage.exit("a");
      expect((await supervisor.exited).reason).toBe("abnormal");
    },
  },
  {
    source: "supervisor, Restart intensity and period",
    rule: "a child that ends normally counts like any other if it is restarted",
    shows: async (stage) => {
      const supervisor = await stage.supervise(stage.specs("a"), { ...escalate, maxRestarts: 0 });
      await stage.exit("a", normal);
      expect((await supervisor.exited).reason).toBe("abnormal");
    },
  },
  {
    source: "supervisor, Restart intensity and period",
    rule: "a restart of many children counts once",
    shows: async (stage) => {
      const options = { ...escalate, strategy: "one_for_all", maxRestarts: 1 } as const;
      const supervisor = await stage.supervise(stage.specs("a", "b", "c"), options);
      await stage.exit("a");
      expect(supervisor.countChildren().active).toBe(3);
    },
  },
  {
    source: "sup_princ, Maximum Restart Intensity",
    rule: "when a supervisor gives up, the one above restarts it or gives up too",
    shows: async (stage) => {
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
    rule: "a restart that fails counts as another restart and is tried again, while the supervisor answers calls",
    deviates: "it is tried again after a back-off",
    shows: async (stage) => {
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
    rule: "when one of many fails to restart, those after it wait and the strategy is applied again from it",
    shows: async (stage) => {
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

checkRules("OTP's rules of starting, stopping and restarting", rules);
