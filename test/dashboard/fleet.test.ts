import { describe, expect, test } from "vitest";
import { actOnAll } from "../../src/page/store/actions.ts";
import { reasonOf, rowOf } from "../../src/page/store/fleet-row.ts";
import { arranged, countsOf, matching, queryOf, viewOf } from "../../src/page/store/fleet-view.ts";
import { exitOfEvent, exitOfStatus, lastHour } from "../../src/page/store/recent-exits.ts";
import { windowRange } from "../../src/page/store/window-range.ts";
import type { FoundState, SessionInfo } from "../../src/wire/session.ts";
import type { SessionStatus } from "../../src/wire/session-status.ts";

function status(changes: Partial<SessionStatus> = {}): SessionStatus {
  const lists = { tasks: [], wakeups: [], faults: [] };
  const counts = { starts: 1, backgroundTasks: 0, mailbox: 0, restarts: 0 };
  return { name: "a", state: "idle", conversationId: "c", ...lists, ...counts, ...changes };
}

function session(name: SessionInfo["name"], state: FoundState, changes: Partial<SessionInfo> = {}): SessionInfo {
  return { name, state, ...changes };
}

const view = (query: string) => viewOf(new URLSearchParams(query));

describe("the view of an address", () => {
  test.each([
    "",
    "?q=a+b",
    "?q=%26%3Cb%3E&state=busy&label=team%3Dblue&order=memory",
    "?label=a%3Db%3Dc",
    "?state=quarantined&state=idle",
  ])("%s is the same after a round trip", (query) => {
    expect(queryOf(view(query))).toBe(query);
  });

  test("what it does not know is left out", () => {
    expect(view("?state=no&state=busy&state=busy&label=none&label=a=b&label=a=b&order=constructor&x=1")).toEqual({
      text: "",
      states: ["busy"],
      labels: ["a=b"],
      order: "attention",
    });
  });
});

describe("the list", () => {
  const rows = [
    rowOf(
      session(["support", 10], "idle", {
        labels: { team: "blue" },
        status: status({ memoryBytes: 5, lastSignOfLife: 1 }),
      }),
    ),
    rowOf(
      session(["support", 9], "busy", { labels: { team: "green" }, status: status({ memoryBytes: 9, restarts: 2 }) }),
    ),
    rowOf(session("Zed", "quarantined", { title: "The Blue one" })),
    rowOf(session({ global: "all" }, "stored")),
    rowOf(session("constructor", "hibernated", { labels: { toString: "x" }, status: status({ lastSignOfLife: 7 }) })),
  ];
  const names = (query: string) => arranged(matching(rows, view(query)), view(query)).map(({ label }) => label);

  test("finds words in names, titles and labels", () => {
    expect(names("?q=BLUE")).toEqual(["Zed", "support / 10"]);
    expect(names("?q=blue+one")).toEqual(["Zed"]);
    expect(names("?q=support+%2F+9")).toEqual(["support / 9"]);
    expect(names("?q=team%3Dgreen")).toEqual(["support / 9"]);
    expect(names("?q=.*")).toEqual([]);
    expect(names("?q=global")).toEqual(["global all"]);
  });

  test("filters by labels and states", () => {
    expect(names("?label=team%3Dblue")).toEqual(["support / 10"]);
    expect(names("?label=team%3Dblue&label=team%3Dgreen")).toEqual([]);
    expect(names("?label=toString%3Dx")).toEqual(["constructor"]);
    expect(names("?state=idle&state=busy")).toEqual(["support / 9", "support / 10"]);
    expect([...countsOf(matching(rows, view("?q=support&state=idle")))]).toEqual([
      ["busy", 1],
      ["idle", 1],
    ]);
  });

  test("orders, equal ones by name with numbers by value", () => {
    expect(names("?order=name")).toEqual(["constructor", "global all", "support / 9", "support / 10", "Zed"]);
    expect(names("")).toEqual(["Zed", "support / 9", "support / 10", "constructor", "global all"]);
    expect(names("?order=memory").slice(0, 2)).toEqual(["support / 9", "support / 10"]);
    expect(names("?order=restarts")[0]).toBe("support / 9");
    expect(names("?order=activity").slice(0, 2)).toEqual(["constructor", "support / 10"]);
  });

  test("ten thousand sessions are found and ordered within a frame or two", () => {
    const many = Array.from({ length: 10_000 }, (_, index) =>
      rowOf(
        session(["support", (index * 7919) % 10_000], index % 3 === 0 ? "busy" : "idle", {
          title: `Customer ${index}`,
        }),
      ),
    );
    const times = Array.from({ length: 5 }, () => {
      const since = performance.now();
      expect(arranged(matching(many, view("?q=customer")), view("")).length).toBe(10_000);
      return performance.now() - since;
    });
    expect(Math.min(...times)).toBeLessThan(60);
  });
});

describe("what a session waits for", () => {
  const time = (at: number): string => `T${at}`;
  test.each([
    [{ waitingFor: { for: "approval" as const, approvals: 1 } }, "approval"],
    [{ waitingFor: { for: "approval" as const, approvals: 3, until: 5 } }, "3 approvals"],
    [{ waitingFor: { for: "quota" as const, until: 5 } }, "usage limit, until T5"],
    [{ waitingFor: { for: "capacity" as const } }, "a free process"],
    [{ faults: [{ kind: "mirror_error", message: "the disk is full", at: 1 }] }, "the disk is full"],
    [{}, undefined],
  ])("%j", (changes, text) => {
    expect(reasonOf(session("a", "waiting", { status: status(changes) }), time)).toBe(text);
  });

  test("a quarantined session tells its last exit, and a restarting one when it tries again", () => {
    const lastExit = { class: "crash", message: "it \u001b[31mcrashed\u202e", at: 1 };
    expect(reasonOf(session("a", "quarantined", { status: status({ lastExit }) }), time)).toBe(
      "it \\u001b[31mcrashed\\u202e",
    );
    expect(reasonOf(session("a", "restarting", { status: status({ lastExit, retryAt: 9 }) }), time)).toMatch(
      /^tries again T9: it/,
    );
    expect(reasonOf(session("a", "quarantined"), time)).toBeUndefined();
  });
});

describe("the rows in the document", () => {
  test.each([
    [
      [0, 56, 0, 800],
      [0, 0],
    ],
    [
      [10_000, 56, -300, 800],
      [0, 21],
    ],
    [
      [10_000, 56, 56_000, 800],
      [988, 1027],
    ],
    [
      [10_000, 56, 559_500, 800],
      [9_979, 10_000],
    ],
    [
      [10_000, 56, 10_000_000, 800],
      [10_000, 10_000],
    ],
    [
      [3, 84, 0, 844],
      [0, 3],
    ],
  ] as const)("%j", ([count, height, top, seen], [first, end]) => {
    expect(windowRange(count, height, top, seen)).toEqual({ first, end });
  });
});

describe("restarts and quarantines of the last hour", () => {
  const exit = { class: "crash", message: "crashed", at: 5_000_000 };
  test("come from events and from the status, each once", () => {
    const event = exitOfEvent({ type: "session:restart", at: 5_000_001, session: "a", exit, restarts: 1 });
    const seen = exitOfStatus(session("a", "idle", { status: status({ lastExit: exit, restarts: 1 }) }));
    expect(event).toEqual(seen);
    const quarantine = exitOfEvent({ type: "session:quarantine", at: 5_000_002, session: "a", lastExits: [exit] });
    const all = [event, seen, quarantine].filter((one) => one !== undefined);
    expect(lastHour(all, 5_000_003).map(({ kind }) => kind)).toEqual(["restart", "quarantine"]);
    expect(lastHour(all, exit.at + 3_600_001)).toEqual([]);
  });

  test("an orderly end and a first failed start are none", () => {
    expect(
      exitOfStatus(
        session("a", "hibernated", { status: status({ lastExit: { ...exit, class: "done" }, restarts: 1 }) }),
      ),
    ).toBeUndefined();
    expect(exitOfStatus(session("a", "idle", { status: status({ lastExit: exit }) }))).toBeUndefined();
    expect(exitOfStatus(session("a", "stored"))).toBeUndefined();
    expect(exitOfEvent({ type: "session:state", at: 1, session: "a", state: "busy" })).toBeUndefined();
  });
});

describe("an action on several sessions", () => {
  test("runs four at a time in their order, and one failure stops no other", async () => {
    const sessions = Array.from({ length: 20 }, (_, index) => session(`s${index}`, "idle"));
    const begun: unknown[] = [];
    let [running, most] = [0, 0];
    const report = await actOnAll(sessions, async ({ name }) => {
      begun.push(name);
      most = Math.max(most, ++running);
      await Promise.resolve();
      running -= 1;
      if (name === "s3" || name === "s7") throw new Error(`${name} is gone`);
    });
    expect(report.done).toBe(18);
    expect(report.failed.map(({ message }) => message)).toEqual(["s3 is gone", "s7 is gone"]);
    expect([begun.slice(0, 4), most]).toEqual([["s0", "s1", "s2", "s3"], 4]);
    expect(await actOnAll([], () => Promise.reject(new Error("never")))).toEqual({ done: 0, failed: [] });
  });
});
