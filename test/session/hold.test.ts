import { describe, expect, it, vi } from "vitest";
import type { Signal } from "../../src/session/context/session-signal.ts";
import { Hold } from "../../src/session/turns/hold.ts";
import { SetClock } from "../set-clock.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

/** The signal of a session that calls `released` when the next turn may begin. */
function telling(released: () => void): Signal {
  return ({ type }) => {
    if (type === "next") released();
  };
}

function setUp(): { clock: SimulatedClock; released: () => void; hold: Hold } {
  const clock = new SimulatedClock();
  const released = vi.fn<() => void>();
  return { clock, released, hold: new Hold(clock, () => 0.5, telling(released)) };
}

describe("Hold", () => {
  it("holds until the usage limit's reset, and releases once", async () => {
    const { clock, released, hold } = setUp();
    hold.forQuota(60_000);
    expect(hold.current).toEqual({ for: "quota", until: 60_000 });
    await clock.advance(59_999);
    expect(released).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(hold.current).toBeUndefined();
    await clock.advance(1_000_000);
    expect(released).toHaveBeenCalledTimes(1);
  });

  it("doubles the wait with each overload up to five minutes, and restarts after a success", async () => {
    const { clock, hold } = setUp();
    const waits: number[] = [];
    const overload = async (): Promise<void> => {
      hold.forOverload();
      waits.push((hold.current?.until ?? 0) - clock.now());
      await clock.advance(300_000);
    };
    for (let count = 0; count < 10; count++) await overload();
    expect(waits.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(waits.at(-1)).toBe(300_000);
    hold.succeeded();
    await overload();
    expect(waits.at(-1)).toBe(1_000);
  });

  it("does not change a known wait on an overload", () => {
    const { hold } = setUp();
    hold.forQuota(5_000);
    hold.forOverload();
    expect(hold.current).toEqual({ for: "quota", until: 5_000 });
  });

  it("replaces an overload by a usage limit", async () => {
    const { clock, released, hold } = setUp();
    hold.forOverload();
    hold.forQuota(5_000);
    await clock.advance(4_999);
    expect(released).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(released).toHaveBeenCalledTimes(1);
    expect(clock.timers).toBe(0);
  });

  it("doubles the wait of an account without credit up to five minutes, until a success", async () => {
    const { clock, hold } = setUp();
    const waits: number[] = [];
    for (let count = 0; count < 8; count++) {
      hold.forBilling();
      expect(hold.current?.for).toBe("billing");
      waits.push((hold.current?.until ?? 0) - clock.now());
      await clock.advance(300_000);
    }
    expect(waits).toEqual([15_000, 30_000, 60_000, 120_000, 240_000, 300_000, 300_000, 300_000]);
    hold.succeeded();
    hold.forBilling();
    expect((hold.current?.until ?? 0) - clock.now()).toBe(15_000);
  });

  it("keeps a usage limit over missing credit, and missing credit over an overload", () => {
    const { hold } = setUp();
    hold.forBilling();
    hold.forOverload();
    expect(hold.current).toEqual({ for: "billing", until: 15_000 });
    hold.forQuota(60_000);
    hold.forBilling();
    expect(hold.current).toEqual({ for: "quota", until: 60_000 });
  });

  it("treats a usage limit whose reset has passed as an overload", async () => {
    const { clock, hold } = setUp();
    await clock.advance(10_000);
    for (const until of [10_000, 9_999, 0]) {
      hold.forQuota(until);
      expect(hold.current?.for).toBe("overload");
      expect(hold.current?.until).toBeGreaterThan(clock.now());
      await clock.advance(300_000);
    }
  });

  it("knows which turns it has held, or which waited before it existed", async () => {
    const { clock, hold } = setUp();
    await clock.advance(1_000);
    expect([-1, 0, 1_000].map((at) => hold.hasHeld(at))).toEqual([true, false, false]);
    hold.forBilling();
    await clock.advance(14_999);
    expect(hold.hasHeld(1_000)).toBe(false);
    await clock.advance(1);
    expect([1_000, 15_999, 16_000].map((at) => hold.hasHeld(at))).toEqual([true, true, false]);
  });

  it("holds nothing and releases nothing while it is closed", async () => {
    const { clock, released, hold } = setUp();
    hold.forQuota(5_000);
    hold.close();
    expect(hold.current).toBeUndefined();
    await clock.advance(10_000);
    expect(released).not.toHaveBeenCalled();
    hold.forOverload();
    expect(hold.current).toBeUndefined();
    hold.reopen();
    hold.forOverload();
    expect(hold.current).toBeDefined();
  });

  it("ends when the API answers", () => {
    const { hold } = setUp();
    hold.forQuota(5_000);
    hold.succeeded();
    expect(hold.current).toBeUndefined();
  });

  it.each([
    ["was set forward", 7_200_000],
    ["advanced while the machine was suspended", 7_199_000],
  ])("releases within 30 seconds when the clock %s", async (_, ms) => {
    const clock = new SetClock();
    const released = vi.fn<() => void>();
    const hold = new Hold(clock, () => 0.5, telling(released));
    hold.forQuota(7_200_000);
    await clock.advance(1_000);
    clock.set(ms);
    await clock.advance(30_000);
    expect(released).toHaveBeenCalledTimes(1);
    expect(hold.current).toBeUndefined();
    await clock.advance(10_000_000);
    expect(released).toHaveBeenCalledTimes(1);
  });

  it("is no longer when the clock is set back", async () => {
    const clock = new SetClock();
    const released = vi.fn<() => void>();
    const hold = new Hold(clock, () => 0.5, telling(released));
    hold.forQuota(60_000);
    clock.set(-86_400_000);
    await clock.advance(59_999);
    expect(released).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(released).toHaveBeenCalledTimes(1);
  });

  it("does not count a later turn as held when the clock is set back", async () => {
    const clock = new SetClock();
    clock.set(86_400_000);
    const hold = new Hold(
      clock,
      () => 0.5,
      () => {},
    );
    clock.set(-86_400_000);
    await clock.advance(1);
    expect(hold.hasHeld(clock.monotonic())).toBe(false);
  });
});
