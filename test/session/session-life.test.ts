import { expect, it, vi } from "vitest";
import { SessionLife } from "../../src/session/process/session-life.ts";
import type { ChildExit } from "../../src/supervision/child-spec.ts";

const ended: ChildExit = { reason: "normal" };
const newLife = (): SessionLife => new SessionLife({ end: async () => {} });

it("tells its listeners of its first exit, after the call that ends it", async () => {
  const life = newLife();
  const [one, other] = [{ exited: vi.fn() }, { exited: vi.fn() }];
  life.onExit(one);
  life.onExit(other);
  life.exit(ended);
  life.exit({ reason: "abnormal" });
  expect(one.exited).not.toHaveBeenCalled();
  await expect(life.exited).resolves.toBe(ended);
  expect(one.exited.mock.calls).toEqual([[ended]]);
  expect(other.exited.mock.calls).toEqual([[ended]]);
});

it("tells a listener that comes after the exit", async () => {
  const life = newLife();
  await life.stop(1_000);
  const late = { exited: vi.fn() };
  life.onExit(late);
  expect(late.exited).not.toHaveBeenCalled();
  await life.exited;
  expect(late.exited.mock.calls).toEqual([[{ reason: "shutdown" }]]);
});
