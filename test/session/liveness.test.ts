import { describe, expect, it, vi } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { hasStalled, Liveness } from "../../src/session/process/liveness.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

describe("hasStalled", () => {
  it.each([
    ["silence at the limit in a turn", { busy: true, waitsFor: 0, silentMs: 1_000 }, true],
    ["silence below the limit", { busy: true, waitsFor: 0, silentMs: 999 }, false],
    ["an idle process", { busy: false, waitsFor: 0, silentMs: 1_000_000 }, false],
    ["a pending tool or approval", { busy: true, waitsFor: 1, silentMs: 1_000_000 }, false],
  ])("decides on %s", (_, work, stalled) => {
    expect(hasStalled(work, 1_000)).toBe(stalled);
  });
});

describe("Liveness", () => {
  /** Runs Liveness on a process that answers no ping and wrote something `silentMs` ago; returns the kills. */
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

  it("kills a silent process that answers no ping", async () => {
    expect(await killed((now) => now)).toEqual([expect.stringContaining("does not answer pings")]);
  });

  it("does not kill a process that keeps writing, though its answer to a ping is late", async () => {
    expect(await killed(() => 5)).toEqual([]);
  });
});
