import { describe, expect, it, vi } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { hasStalled, Liveness } from "../../src/session/process/liveness.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

describe("hasStalled", () => {
  it.each([
    ["silent for too long in a turn", { busy: true, waitsFor: 0, silentMs: 1_000 }, true],
    ["not silent for so long", { busy: true, waitsFor: 0, silentMs: 999 }, false],
    ["idle", { busy: false, waitsFor: 0, silentMs: 1_000_000 }, false],
    ["waiting for a tool or for somebody's approval", { busy: true, waitsFor: 1, silentMs: 1_000_000 }, false],
  ])("%s", (_, work, stalled) => {
    expect(hasStalled(work, 1_000)).toBe(stalled);
  });
});

describe("Liveness", () => {
  /** A process that answers no question, and said something `silentMs` ago. */
  async function killed(silentMs: (now: number) => number): Promise<string[]> {
    const clock = new SimulatedClock();
    const kills: string[] = [];
    const ping = vi.fn(async (ms: number) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      clock.schedule(ms, resolve);
      await promise;
      throw new CastellanError("CONTROL_TIMEOUT", "no answer");
    });
    const kill = async ({ message }: { readonly message: string }) => {
      kills.push(message);
      return { class: "stalled", message, at: 0 } as const;
    };
    const work = () => ({ busy: true, waitsFor: 0, silentMs: silentMs(clock.monotonic()) });
    const liveness = new Liveness({ clock, settings: { stallTimeout: 3_600_000 } }, { ping, kill }, work);
    await clock.advance(300_000);
    liveness.stop();
    expect(ping).toHaveBeenCalled();
    return kills;
  }

  it("kills a process that is silent and answers no question", async () => {
    expect(await killed((now) => now)).toEqual([expect.stringContaining("answers no question")]);
  });

  it("leaves one alone that speaks all the time, and whose answer stands behind what it said before", async () => {
    expect(await killed(() => 5)).toEqual([]);
  });
});
