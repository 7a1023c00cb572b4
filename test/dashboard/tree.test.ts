import { describe, expect, test } from "vitest";
import { CHILD_ACTIONS, childActions } from "../../src/page/store/child-actions.ts";
import { rowOf } from "../../src/page/store/fleet-row.ts";
import { itemOfId, statesBelow, type TreeItem, treeItems } from "../../src/page/store/tree-item.ts";
import { treeMove, treeRows } from "../../src/page/store/tree-rows.ts";
import { exitsOf, intensityText, retryOf, seriesOf, strategyText } from "../../src/page/store/tree-text.ts";
import type { SessionStatus } from "../../src/wire/session-status.ts";
import type { ChildList, ChildSummary, SupervisorNode, Tree, TreeNode } from "../../src/wire/tree.ts";

const INTENSITY = { maxRestarts: 3, maxSeconds: 5, onMaxRestarts: "quarantine" } as const;

function session(name: SessionStatus["name"], state: SessionStatus["state"] = "idle"): TreeNode & { kind: "session" } {
  const lists = { tasks: [], wakeups: [], faults: [] };
  const counts = { starts: 1, backgroundTasks: 0, mailbox: 0, restarts: 0 };
  return {
    kind: "session",
    restarts: 0,
    lastExits: [],
    status: { name, state, conversationId: "c", ...lists, ...counts },
  };
}

function supervisor(name: string, ...children: TreeNode[]): SupervisorNode {
  return { kind: "supervisor", name, state: "running", strategy: "one_for_one", intensity: INTENSITY, children };
}

function tree(...children: TreeNode[]): Tree {
  const spares = { ready: 0, starting: 0, hits: 0, misses: {}, unused: {} };
  const capacity = { processes: 0, waiting: 0, turns: { running: 0, waiting: 0 }, limits: {}, spares };
  return { ...supervisor("root", ...children), capacity, journal: {} };
}

function list(...children: ChildSummary[]): ChildList {
  return { children, counts: { specs: 0, active: 0, supervisors: 0, workers: 0 } };
}

const worker = (name: string): TreeNode => ({ kind: "worker", name, state: "running", restarts: 1, lastExits: [] });
const template = (name: string): TreeNode => ({ kind: "template", name, sessions: 2 });
const pool = (name: string): TreeNode => {
  const counts = { size: 1, min: 1, max: 1, lent: 0, idle: 1, waiting: 0, jobs: 0 };
  return { kind: "pool", status: { name, ...counts, members: [] } };
};

/** The labels of an item and of those below, by level. */
const outline = ({ label, children }: TreeItem): unknown =>
  children.length === 0 ? label : [label, ...children.map(outline)];
const built = (node: Tree, children = list(), rows = new Map()): TreeItem => treeItems(node, children, rows);

describe("the items of a tree", () => {
  test("are nested, with sessions below their template and members below their pool", () => {
    const below = supervisor(
      "group",
      session("a"),
      template("support"),
      session(["support", 2]),
      pool("p"),
      session(["p", 0]),
    );
    const root = built(tree(session("top"), session(["support", 1]), template("support"), below, worker("db")));
    expect(outline(root)).toEqual([
      "root",
      "top",
      ["support", "support / 1"],
      ["group", "a", ["support", "support / 2"], ["p", "p / 0"]],
      "db",
    ]);
    const ids: string[] = [];
    const collect = ({ id, children }: TreeItem): void => {
      ids.push(id);
      children.forEach(collect);
    };
    collect(root);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.map((id) => itemOfId(root, id)?.id)).toEqual(ids);
    expect(itemOfId(root, "none")).toBeUndefined();
  });

  test("include a stopped child of which only the list tells, each child once", () => {
    const children = list(
      { id: "a", type: "session", state: "running" },
      { id: "gone", type: "session", state: "terminated" },
      { id: "group", type: "supervisor", state: "running" },
      { id: "a", type: "worker", state: "terminated" },
      { id: "support", type: "template", state: "running" },
    );
    const root = built(tree(session("a"), supervisor("group", session("gone")), template("support")), children);
    expect(outline(root)).toEqual(["root", "a", ["group", "gone"], "support", "gone", "a"]);
    expect(root.children.map(({ kind, child }) => `${kind} ${child?.state}`)).toEqual([
      "session running",
      "supervisor running",
      "template undefined",
      "session terminated",
      "worker terminated",
    ]);
    expect(root.children[1]?.children[0]?.child).toBeUndefined();
  });

  test("have the state that the list of sessions has, and are counted by it", () => {
    const rows = new Map([['"a"', rowOf({ name: "a", state: "busy" })]]);
    const root = built(tree(session("a"), session("b", "quarantined"), session("c"), worker("w")), list(), rows);
    expect([...statesBelow(root)]).toEqual([
      ["quarantined", 1],
      ["busy", 1],
      ["idle", 1],
    ]);
    expect([...statesBelow(built(tree()))]).toEqual([]);
  });

  test("show what a hostile name hides", () => {
    const root = built(tree(session("a\u202eb"), template("x\u200b"), session(["x\u200b", 1])));
    expect(outline(root)).toEqual(["root", "a\\u202eb", ["x\\u200b", "x\\u200b / 1"]]);
  });

  test("of ten times as many sessions take about ten times as long", () => {
    const fastest = (count: number): number => {
      const many = Array.from({ length: count }, (_, index) => session(["support", index]));
      const times = Array.from({ length: 7 }, () => {
        const since = performance.now();
        const root = built(tree(template("support"), ...many));
        expect(treeRows(root, new Map(), "support").length).toBe(count + 2);
        return performance.now() - since;
      });
      return Math.min(...times);
    };
    fastest(1_000);
    expect(fastest(10_000) / fastest(1_000)).toBeLessThan(40);
  });
});

describe("the rows of a tree", () => {
  const many = Array.from({ length: 20 }, (_, index) => session(["support", index]));
  const root = built(tree(session("a"), supervisor("group", session("b"), session("c")), template("support"), ...many));
  const group = root.children[1]?.id ?? "";
  const family = root.children[2]?.id ?? "";
  const shown = (text = "", folds: [string, boolean][] = []) => treeRows(root, new Map(folds), text);
  const text = (rows: ReturnType<typeof shown>): string[] =>
    rows.map(
      ({ item: { label }, level, position, siblings, expanded }) =>
        `${level} ${position}/${siblings} ${label} ${expanded ?? "-"}`,
    );

  test("tell their place, and fold a family of many", () => {
    expect(text(shown())).toEqual([
      "1 1/1 root true",
      "2 1/3 a -",
      "2 2/3 group true",
      "3 1/2 b -",
      "3 2/2 c -",
      "2 3/3 support false",
    ]);
    expect(
      shown("", [
        [group, false],
        [family, true],
      ]).length,
    ).toBe(24);
  });

  test("of a search are what matches, what leads to it, and nothing else", () => {
    expect(text(shown("c IDLE"))).toEqual(["1 1/1 root true", "2 1/1 group true", "3 1/1 c -"]);
    expect(text(shown("support / 13", [[family, false]]))).toEqual([
      "1 1/1 root true",
      "2 1/1 support true",
      "3 1/1 support / 13 -",
    ]);
    expect(shown("nothing")).toEqual([]);
  });

  test("are reached by the keys of a tree", () => {
    const rows = shown();
    const [top, , third, b] = rows.map(({ item }) => item.id);
    const press = (key: string, from?: string) => treeMove(rows, from, key);
    expect(press("ArrowDown", top)).toEqual({ does: "go", id: rows[1]?.item.id });
    expect(press("ArrowUp", top)).toBeUndefined();
    expect([press("Home", b), press("End", top)]).toEqual([
      { does: "go", id: top },
      { does: "go", id: family },
    ]);
    expect(press("ArrowDown", family)).toBeUndefined();
    expect(press("ArrowRight", family)).toEqual({ does: "fold", id: family, expanded: true });
    expect(press("ArrowRight", third)).toEqual({ does: "go", id: b });
    expect(press("ArrowRight", b)).toBeUndefined();
    expect(press("ArrowLeft", b)).toEqual({ does: "go", id: third });
    expect(press("ArrowLeft", third)).toEqual({ does: "fold", id: third, expanded: false });
    expect(press("S", b)).toEqual({ does: "go", id: family });
    expect(press("b", b)).toEqual({ does: "go", id: b });
    expect([press("/", b), press(" ", b), press("Enter", b), press("z", b)]).toEqual(Array(4).fill(undefined));
    expect(press("ArrowDown", "gone")).toEqual({ does: "go", id: rows[1]?.item.id });
    expect(treeMove([], top, "End")).toBeUndefined();
  });
});

describe("what the tree tells", () => {
  test("strategies and intensities in words", () => {
    expect(strategyText("one_for_all")).toBe("When a child exits, all children are restarted.");
    expect([strategyText("constructor"), strategyText("new_one")]).toEqual(["", ""]);
    expect(intensityText(INTENSITY)).toBe("3 restarts in 5 s per child; a child with more is quarantined");
    expect(intensityText({ maxRestarts: 1, maxSeconds: 60, onMaxRestarts: "escalate" })).toMatch(
      /^1 restart in 60 s for all/,
    );
  });

  test("exits, the newest first, with how the process ended and its stderr", () => {
    const lastExits = [
      { class: "crash", message: "one", at: 1, code: 3, stderr: "no key" },
      { class: "crash", message: "two", at: 2, signal: "SIGKILL", stderr: "" },
    ];
    expect(exitsOf({ ...session("a"), lastExits })).toEqual([
      { at: 2, message: "two", class: "crash", how: "SIGKILL", stderr: undefined },
      { at: 1, message: "one", class: "crash", how: "code 3", stderr: "no key" },
    ]);
    expect(exitsOf({ ...worker("w"), lastExits: [{ at: 1, message: "x" }] } as TreeNode)).toEqual([
      { at: 1, message: "x" },
    ]);
    expect([exitsOf(undefined), exitsOf(template("t")), exitsOf(supervisor("s"))]).toEqual([[], [], []]);
  });

  test("when a child is tried again, and its restarts in this series", () => {
    const waiting = session("a", "restarting");
    expect(retryOf({ ...waiting, status: { ...waiting.status, retryAt: 7 } })).toBe(7);
    expect(retryOf({ ...supervisor("s"), retryAt: 8 })).toBe(8);
    expect([retryOf(template("t")), retryOf(undefined)]).toEqual([undefined, undefined]);
    expect([seriesOf(worker("w")), seriesOf(supervisor("s")), seriesOf(pool("p"))]).toEqual([1, 0, 0]);
  });
});

describe("what can be done with a child of the root supervisor", () => {
  const child = (type: ChildSummary["type"], state: ChildSummary["state"]): ChildSummary => ({ id: "a", type, state });
  test.each([
    [child("session", "running"), ["terminate"]],
    [child("supervisor", "restarting"), ["terminate"]],
    [child("worker", "quarantined"), ["restart", "delete"]],
    [child("session", "terminated"), ["restart", "delete"]],
    [child("template", "running"), []],
    [child("pool", "running"), []],
  ])("%j", (one, actions) => {
    expect(childActions(one, ["read", "operate"])).toEqual(actions);
    expect(childActions(one, ["read", "talk"])).toEqual([]);
  });

  test("tells what is lost", () => {
    expect(CHILD_ACTIONS.terminate.loses(child("supervisor", "running"))).toMatch(/all its children/);
    expect(CHILD_ACTIONS.terminate.loses(child("worker", "running"))).not.toMatch(/turns/);
    expect(CHILD_ACTIONS.restart.loses(child("worker", "terminated"))).toBeUndefined();
    expect(CHILD_ACTIONS.delete.loses(child("session", "terminated"))).toMatch(/Conversations are kept/);
  });
});
