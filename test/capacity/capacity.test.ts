import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Capacity, type Slot, type SlotHolder } from "../../src/capacity/capacity.ts";
import { settle } from "../supervision/simulated-clock.ts";

/** A holder that works, rests and leaves as a test says. */
class Guest implements SlotHolder {
  idleSince: number | undefined;
  slot: Slot | undefined;
  /** Whether it has been asked to leave, and its process is on the way out. */
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

  /** Its process is gone. */
  leave(): void {
    this.slot?.release();
    this.slot = undefined;
    this.leaving = false;
    this.idleSince = undefined;
  }
}

/** Has a guest wait in line; notes in `served` its ticket when it gets in. */
function enter(capacity: Capacity, guest: Guest, ticket = 0, served: number[] = []): Promise<void> {
  guest.waits = true;
  return capacity.wait(guest, guest.controller.signal).then(
    (slot) => {
      guest.waits = false;
      guest.slot = slot;
      served.push(ticket);
    },
    () => {
      guest.waits = false;
    },
  );
}

const guests = (count: number): Guest[] => Array.from({ length: count }, (_, number) => new Guest(number));

describe("Capacity", () => {
  it("lets the one that has been idle for longest go, and no more than are waited for", async () => {
    const capacity = new Capacity(3);
    const [first, second, third, late] = guests(4) as [Guest, Guest, Guest, Guest];
    for (const guest of [first, second, third]) guest.slot = capacity.take(guest);
    first.idleSince = 7;
    second.idleSince = 3;
    expect(capacity.shortage).toEqual({ maxProcesses: 3, busy: 1 });
    const entered = enter(capacity, late);
    expect([first.leaving, second.leaving, third.leaving]).toEqual([false, true, false]);
    // Somebody else becoming idle changes nothing: one leaves already.
    third.idleSince = 1;
    capacity.rebalance();
    expect(third.leaving).toBe(false);
    expect(capacity.taken).toBe(3);
    second.leave();
    await entered;
    expect(late.slot).toBeDefined();
  });

  it("does not count on one that does not leave after all", async () => {
    const capacity = new Capacity(1);
    const [stays, late] = guests(2) as [Guest, Guest];
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

  it("gives nothing to one that was aborted, be it between its turn and its knowing", async () => {
    const capacity = new Capacity(1);
    const [has, next] = guests(2) as [Guest, Guest];
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

  it("counts two slots of the same holder as two", () => {
    const capacity = new Capacity(2);
    const [guest] = guests(1) as [Guest];
    const slots = [capacity.take(guest), capacity.take(guest)];
    expect(capacity.take(guest)).toBeUndefined();
    slots[0]?.release();
    slots[0]?.release();
    expect(capacity.taken).toBe(1);
  });

  const step = fc.record({
    does: fc.constantFrom("take", "wait", "abort", "rest", "work", "leave", "leave twice"),
    guest: fc.nat(7),
  });

  it("never has more than it may, gives each slot back once, and serves all who wait, in order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), async (limit, steps) => {
        const capacity = new Capacity(limit);
        const all = guests(8);
        const served: number[] = [];
        let [asked, aborted, time] = [0, 0, 0];
        const check = (): void => {
          expect(capacity.taken).toBeLessThanOrEqual(limit);
          expect(all.filter(({ slot }) => slot !== undefined).length).toBeLessThanOrEqual(capacity.taken);
        };
        for (const { does, guest: number } of steps) {
          const guest = all[number] as Guest;
          time++;
          const free = guest.slot === undefined && !guest.waits && !guest.controller.signal.aborted;
          if (does === "take" && free) guest.slot = capacity.take(guest);
          if (does === "wait" && free) {
            void enter(capacity, guest, asked, served);
            asked++;
            await settle();
          }
          if (does === "abort" && guest.waits) {
            aborted++;
            guest.controller.abort(new Error("no longer"));
          }
          if (does === "rest" && guest.slot !== undefined && !guest.leaving) {
            guest.idleSince = time;
            capacity.rebalance();
          }
          if (does === "work" && !guest.leaving) guest.idleSince = undefined;
          if (does === "leave") guest.leave();
          if (does === "leave twice") {
            const { slot } = guest;
            guest.leave();
            slot?.release();
          }
          check();
          if (number % 2 === 0) await settle();
          check();
        }
        // All go home, one after the other, and everybody who still waits gets in.
        for (let round = 0; round < 20; round++) {
          await settle();
          for (const guest of all) if (guest.slot !== undefined) guest.leave();
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
