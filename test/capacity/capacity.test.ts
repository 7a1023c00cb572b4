import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Capacity, type Slot, type SlotHolder } from "../../src/capacity/capacity.ts";
import { settle } from "../supervision/simulated-clock.ts";

/** A slot holder that works, idles and leaves on demand. */
class Holder implements SlotHolder {
  idleSince: number | undefined;
  resumes = false;
  ahead = false;
  slot: Slot | undefined;
  /** Whether its hibernation was requested, and its process is ending. */
  leaving = false;
  /** Whether it waits in line. */
  waits = false;
  readonly controller = new AbortController();
  readonly number: number;

  constructor(number: number) {
    this.number = number;
  }

  hibernate(): boolean {
    expect(this.slot).toBeDefined();
    expect(this.idleSince).toBeDefined();
    this.idleSince = undefined;
    this.leaving = true;
    return true;
  }

  /** Ends its process, which frees the slot. */
  leave(): void {
    this.slot?.release();
    this.slot = undefined;
    this.leaving = false;
    this.idleSince = undefined;
  }
}

/** Waits for a slot; appends `ticket` to `served` once it has one. */
function enter(capacity: Capacity, holder: Holder, ticket = 0, served: number[] = []): Promise<void> {
  holder.waits = true;
  return capacity.wait(holder, holder.controller.signal).then(
    (slot) => {
      holder.waits = false;
      holder.slot = slot;
      served.push(ticket);
    },
    () => {
      holder.waits = false;
    },
  );
}

const holders = (count: number): Holder[] => Array.from({ length: count }, (_, number) => new Holder(number));

describe("Capacity", () => {
  it("evicts the least recently used idle holder, and no more holders than wait", async () => {
    const capacity = new Capacity(3);
    const [first, second, third, late] = holders(4) as [Holder, Holder, Holder, Holder];
    for (const holder of [first, second, third]) holder.slot = capacity.take(holder);
    first.idleSince = 7;
    second.idleSince = 3;
    expect(capacity.shortage).toEqual({ maxProcesses: 3, busy: 1 });
    const entered = enter(capacity, late);
    expect([first.leaving, second.leaving, third.leaving]).toEqual([false, true, false]);
    // A second idle holder stays: one is leaving already.
    third.idleSince = 1;
    capacity.rebalance();
    expect(third.leaving).toBe(false);
    expect(capacity.taken).toBe(3);
    second.leave();
    await entered;
    expect(late.slot).toBeDefined();
  });

  it("asks a holder again that refused to hibernate", async () => {
    const capacity = new Capacity(1);
    const [stays, late] = holders(2) as [Holder, Holder];
    stays.slot = capacity.take(stays);
    stays.idleSince = 1;
    const { hibernate } = stays;
    stays.hibernate = () => false;
    const entered = enter(capacity, late);
    stays.hibernate = hibernate;
    capacity.rebalance();
    expect(stays.leaving).toBe(true);
    stays.leave();
    await entered;
  });

  it("gives no slot to an aborted waiter, though its turn has come", async () => {
    const capacity = new Capacity(1);
    const [has, next] = holders(2) as [Holder, Holder];
    has.slot = capacity.take(has);
    const entered = enter(capacity, next);
    has.leave();
    next.controller.abort(new Error("no longer"));
    await entered;
    expect(next.slot).toBeUndefined();
    expect([capacity.taken, capacity.waiting]).toEqual([0, 0]);
    await expect(capacity.wait(next, next.controller.signal)).rejects.toThrow("no longer");
    expect(capacity.taken).toBe(0);
  });

  it("asks for a slot between two turns while more requests wait than slots are leaving", async () => {
    const capacity = new Capacity(2);
    const [old, other, late, present] = holders(4) as [Holder, Holder, Holder, Holder];
    for (const holder of [old, other]) holder.slot = capacity.take(holder);
    old.resumes = late.resumes = true;
    void enter(capacity, late);
    expect(capacity.turnover(old)).toBe("after share");
    void enter(capacity, present);
    expect([capacity.turnover(old), capacity.turnover(other)]).toEqual(["at once", "after share"]);
    other.slot?.leaving();
    expect(capacity.turnover(old)).toBe("after share");
    other.leave();
    await settle();
    expect([present.slot === undefined, late.waits]).toEqual([false, true]);
  });

  it("lets all others pass a holder that wants a slot only ahead of work, and asks nobody between two turns for it", async () => {
    const capacity = new Capacity(1);
    const [has, early, late, later] = holders(4) as [Holder, Holder, Holder, Holder];
    has.slot = capacity.take(has);
    early.ahead = true;
    const served: number[] = [];
    const entered = [enter(capacity, early, 0, served)];
    expect(capacity.turnover(has)).toBe("none");
    entered.push(enter(capacity, late, 1, served), enter(capacity, later, 2, served));
    expect(capacity.turnover(has)).toBe("after share");
    for (const holder of [has, late, later]) {
      holder.leave();
      await settle();
    }
    await Promise.all(entered);
    expect(served).toEqual([1, 2, 0]);
  });

  it("offers a slot while one is free, idle or leaving that nobody waits for", async () => {
    const capacity = new Capacity(1);
    const [has, next] = holders(2) as [Holder, Holder];
    expect(capacity.offers).toBe(true);
    has.slot = capacity.take(has);
    expect(capacity.offers).toBe(false);
    has.idleSince = 1;
    expect(capacity.offers).toBe(true);
    const entered = enter(capacity, next);
    expect(has.leaving).toBe(true);
    expect(capacity.offers).toBe(false);
    next.controller.abort(new Error("no longer"));
    await entered;
    expect(capacity.offers).toBe(true);
    has.leave();
    expect(capacity.offers).toBe(true);
  });

  it("counts two slots of one holder as two", () => {
    const capacity = new Capacity(2);
    const [holder] = holders(1) as [Holder];
    const slots = [capacity.take(holder), capacity.take(holder)];
    expect(capacity.take(holder)).toBeUndefined();
    slots[0]?.release();
    slots[0]?.release();
    expect(capacity.taken).toBe(1);
  });

  const step = fc.record({
    does: fc.constantFrom("take", "wait", "abort", "rest", "work", "leave", "leave twice"),
    holder: fc.nat(7),
  });

  it("never exceeds its limit, frees each slot once, and serves all waiters in order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), async (limit, steps) => {
        const capacity = new Capacity(limit);
        const all = holders(8);
        const served: number[] = [];
        let [asked, aborted, time] = [0, 0, 0];
        const check = (): void => {
          expect(capacity.taken).toBeLessThanOrEqual(limit);
          expect(all.filter(({ slot }) => slot !== undefined).length).toBeLessThanOrEqual(capacity.taken);
        };
        for (const { does, holder: number } of steps) {
          const holder = all[number] as Holder;
          time++;
          const free = holder.slot === undefined && !holder.waits && !holder.controller.signal.aborted;
          if (does === "take" && free) holder.slot = capacity.take(holder);
          if (does === "wait" && free) {
            void enter(capacity, holder, asked, served);
            asked++;
            await settle();
          }
          if (does === "abort" && holder.waits && !holder.controller.signal.aborted) {
            aborted++;
            holder.controller.abort(new Error("no longer"));
          }
          if (does === "rest" && holder.slot !== undefined && !holder.leaving) {
            holder.idleSince = time;
            capacity.rebalance();
          }
          if (does === "work" && !holder.leaving) holder.idleSince = undefined;
          if (does === "leave") holder.leave();
          if (does === "leave twice") {
            const { slot } = holder;
            holder.leave();
            slot?.release();
          }
          check();
          if (number % 2 === 0) await settle();
          check();
        }
        // All holders leave one after another, and every waiter gets a slot.
        for (let round = 0; round < 20; round++) {
          await settle();
          for (const holder of all) if (holder.slot !== undefined) holder.leave();
          check();
        }
        await settle();
        expect(all.filter(({ waits }) => waits)).toEqual([]);
        expect([capacity.taken, capacity.waiting]).toEqual([0, 0]);
        expect(served).toHaveLength(asked - aborted);
        expect(served).toEqual(served.toSorted((one, other) => one - other));
      }),
      { numRuns: 300 },
    );
  });
});
