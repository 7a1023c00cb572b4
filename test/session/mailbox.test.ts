import { describe, expect, it } from "vitest";
import { TurnRecord } from "../../src/session/streams/turn-record.ts";
import { Mailbox } from "../../src/session/turns/mailbox.ts";

const turn = (id: string): TurnRecord => new TurnRecord(id, "prompt", "session", { queueTimeoutMs: 600_000 });
const [one, two, three] = [turn("one"), turn("two"), turn("three")] as const;

function filled(limit = 10): Mailbox {
  const mailbox = new Mailbox(limit);
  for (const record of [one, two, three]) mailbox.push(record);
  return mailbox;
}

describe("Mailbox", () => {
  it("returns turns in order", () => {
    const mailbox = filled();
    expect([mailbox.shift(), mailbox.shift(), mailbox.shift(), mailbox.shift()]).toEqual([one, two, three, undefined]);
    expect(mailbox.length).toBe(0);
  });

  it("puts a retried turn first, also when full", () => {
    const mailbox = filled(3);
    const again = turn("again");
    mailbox.putFirst(again);
    expect(mailbox.length).toBe(4);
    expect(mailbox.shift()).toBe(again);
    expect(mailbox.shift()).toBe(one);
  });

  it.each([
    [0, true],
    [2, true],
    [3, true],
    [4, false],
  ])("with a limit of %d and three turns, is full: %s", (limit, full) => {
    expect(filled(limit).full(0)).toBe(full);
  });

  it("is full from the start with a limit of 0", () => {
    expect(new Mailbox(0).full(0)).toBe(true);
  });

  it("returns whether it has removed a turn", () => {
    const mailbox = filled();
    expect(mailbox.remove(two)).toBe(true);
    expect(mailbox.remove(two)).toBe(false);
    expect(mailbox.remove(turn("one"))).toBe(false);
    expect([mailbox.shift(), mailbox.shift()]).toEqual([one, three]);
  });

  it("restores turns of before a restart in front of later ones", () => {
    const mailbox = new Mailbox(2);
    const [since, later] = [turn("since"), turn("later")];
    for (const asked of [since, later]) mailbox.push(asked);
    const before = [3, 7].map((position) => new TurnRecord(`${position}`, "prompt", "session", { position }));
    for (const waited of before) {
      waited.enqueued();
      mailbox.restore(waited);
    }
    expect([...mailbox].map(({ id }) => id)).toEqual(["3", "7", "since", "later"]);
    expect([...mailbox].map(({ position }) => position)).toEqual([3, 7, 8, 9]);
    mailbox.push(turn("new"));
    mailbox.putFirst(turn("first"));
    expect([...mailbox].map(({ position }) => position)).toEqual([-1, 3, 7, 8, 9, 10]);
  });

  it("returns all turns when it is emptied", () => {
    const mailbox = filled();
    expect(mailbox.empty()).toEqual([one, two, three]);
    expect(mailbox.length).toBe(0);
    expect(mailbox.empty()).toEqual([]);
  });
});
