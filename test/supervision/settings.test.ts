import { describe, expect, it } from "vitest";
import { supervisorSettings } from "../../src/supervision/supervisor-spec.ts";
import { Stage } from "./stage.ts";

describe("supervisorSettings", () => {
  it("fills in the defaults", () => {
    expect(supervisorSettings({})).toEqual({
      strategy: "one_for_one",
      intensity: { maxRestarts: 3, maxSeconds: 5 },
      onMaxRestarts: "quarantine",
      autoShutdown: "never",
      maxChildren: Number.POSITIVE_INFINITY,
      onStartFailure: "continue",
    });
  });
});

describe("SupervisorSpec.maxChildren", () => {
  it("bounds the children at the start and later, running or not, with MAX_CHILDREN", async () => {
    const stage = new Stage();
    await expect(stage.supervise(stage.specs("a", "b"), { maxChildren: 1 })).rejects.toMatchObject({
      code: "MAX_CHILDREN",
    });
    expect(stage.take()).toEqual([]);
    const supervisor = await stage.supervise(stage.specs("a"), { maxChildren: 1 });
    await supervisor.terminateChild("a");
    await expect(supervisor.startChild(stage.spec("b"))).rejects.toMatchObject({
      code: "MAX_CHILDREN",
      message: expect.stringContaining("child b"),
    });
    await supervisor.deleteChild("a");
    await supervisor.startChild(stage.spec("b"));
    expect(stage.playing).toEqual(["b"]);
  });
});
