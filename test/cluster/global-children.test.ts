import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, test } from "vitest";
import { type GlobalChildren, globalChildren } from "../../src/application/global-children.ts";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import { CastellanError } from "../../src/errors.ts";
import { global, pool, type SessionDefaults, template } from "../../src/index.ts";

const STORE: SessionStore = { append: async () => {}, load: async () => null };

function read(
  children: readonly ChildOptions[],
  labels: Readonly<Record<string, string>> = {},
  defaults: SessionDefaults = {},
): GlobalChildren {
  return globalChildren(children, labels, defaults);
}

/** Returns the problems, by field. */
function problemsOf(...args: Parameters<typeof read>): Record<string, string> {
  try {
    read(...args);
  } catch (error) {
    if (!CastellanError.is(error, "INVALID_OPTIONS")) throw error;
    return Object.fromEntries(error.details.problems.map(({ field, message }) => [field, message]));
  }
  return {};
}

describe("globalChildren", () => {
  const local: ChildOptions = { name: "local" };
  const worker: ChildOptions = { id: "w", start: () => ({ exited: new Promise(() => {}), stop: async () => {} }) };
  const subtree: ChildOptions = { name: "inner", children: [{ name: "below" }] };

  test("separates local from global children", () => {
    const children = read([
      local,
      { name: global("reviewer") },
      { name: global(["team", 1]), activation: "lazy" },
      template(global("support"), { idleTimeout: "10m" }),
      pool(global("summaries"), { size: 2 }),
      worker,
      subtree,
    ]);
    expect(children.hosts).toEqual({
      sessions: ['["global","reviewer"]', '["global","team",1]'],
      templates: ["support"],
      pools: ["summaries"],
    });
    // A global pool has members on each node, under its plain name.
    expect(children.local).toEqual([local, { pool: "summaries", size: 2 }, worker, subtree]);
    expect(children.wanted).toEqual(['["global","reviewer"]']);
  });

  test("may contain no global child", () => {
    const children = read([local]);
    expect(children).toMatchObject({ local: [local], wanted: [], hosts: { sessions: [], templates: [], pools: [] } });
    expect(children.knows(["global", "reviewer"])).toBe(false);
  });

  test("hosts only what the node's labels fit, and knows the rest", () => {
    const children: readonly ChildOptions[] = [
      { name: global("a", { labels: { gpu: "yes" } }) },
      template(global("b", { labels: { gpu: "yes", zone: "east" } })),
      pool(global("c", { labels: { zone: "east" } }), { size: 1 }),
      { name: global("d") },
    ];
    const hosted = (labels: Readonly<Record<string, string>>): readonly string[] => {
      const { hosts, local: here } = read(children, labels);
      expect(here).toHaveLength(hosts.pools.length);
      return [...hosts.sessions.map((key) => key.slice(11, -2)), ...hosts.templates, ...hosts.pools];
    };
    expect(hosted({})).toEqual(["d"]);
    expect(hosted({ gpu: "no" })).toEqual(["d"]);
    expect(hosted({ gpu: "yes" })).toEqual(["a", "d"]);
    expect(hosted({ zone: "east" })).toEqual(["d", "c"]);
    expect(hosted({ gpu: "yes", zone: "east", extra: "" })).toEqual(["a", "d", "b", "c"]);
  });
});

describe("options of a global session", () => {
  const made: unknown[] = [];
  const children = read([
    { name: global("reviewer"), systemPrompt: "You review." },
    { name: global(["support", 1]), systemPrompt: "You help the first." },
    template(global("support"), (id: number, part?: string) => {
      made.push([id, part]);
      return { systemPrompt: `You help ${id} with ${part}.` };
    }),
    template(global("alike"), { maxTurns: 3 }),
  ]);

  test("are its own, or come from its template", () => {
    expect(children.optionsOf(["global", "reviewer"])).toEqual({ activation: "eager", systemPrompt: "You review." });
    expect(children.optionsOf(["global", "support", 2, "x"])).toEqual({ systemPrompt: "You help 2 with x." });
    expect(children.optionsOf(["global", "support", 1])).toMatchObject({ systemPrompt: "You help the first." });
    expect(children.optionsOf(["global", "alike", "a"])).toEqual({ maxTurns: 3 });
    expect(children.optionsOf(["global", "support"])).toBeUndefined();
    expect(children.optionsOf(["global", "other", 1])).toBeUndefined();
    expect(children.optionsOf("reviewer")).toBeUndefined();
  });

  test("are known to exist without a call of the template", () => {
    made.length = 0;
    expect(children.knows(["global", "support", 7])).toBe(true);
    expect(children.knows(["global", "reviewer"])).toBe(true);
    expect(children.knows(["global", "support"])).toBe(false);
    expect(children.knows("reviewer")).toBe(false);
    expect(made).toEqual([]);
  });

  test("keep sessions in memory by the sum of maxHibernated and the shortest retention", () => {
    const { keeping } = read([
      { name: global("a") },
      template(global("b"), {}, { maxHibernated: 10, retention: "1m" }),
      template(global("c"), {}, { maxHibernated: 20, retention: "1h" }),
    ]);
    expect(keeping).toEqual({ maxHibernated: 31, retentionMs: 60_000 });
    expect(read([{ name: global("a") }]).keeping).toEqual({ maxHibernated: 1, retentionMs: 300_000 });
  });
});

describe("problems of global children", () => {
  test.each<[what: string, children: readonly ChildOptions[], field: string, words: string]>([
    ["a wrong option", [{ name: global("a"), maxTurns: -1 }], "children[0].maxTurns", "got -1"],
    ["a wrong option of a template", [template(global("a"), { maxTurns: -1 })], "children[0].sessions.maxTurns", "-1"],
    ["a wrong limit of a template", [template(global("a"), {}, { maxSessions: 0 })], "children[0].maxSessions", "0"],
    [
      "a limit no node counts",
      [template(global("a"), {}, { maxSessions: 5 })],
      "children[0].maxSessions",
      "maxProcesses",
    ],
    ["a template named by a tuple", [template(global(["a", 1]))], "children[0].template", "not of a tuple"],
    ["a pool named by a tuple", [pool(global(["a", 1]), { size: 1 })], "children[0].pool", "not of a tuple"],
    ["a session twice", [{ name: global("a") }, { name: global("a") }], "children[1].name", '"a" is declared twice'],
    ["also in another form", [{ name: global("a") }, { name: global(["a"]) }], "children[1].name", "twice"],
    [
      "with other labels",
      [{ name: global("a") }, { name: global("a", { labels: { b: "" } }) }],
      "children[1].name",
      "",
    ],
    ["a template twice", [template(global("a")), template(global("a"))], "children[1].template", "twice"],
    ["a pool twice", [pool(global("a"), { size: 1 }), pool(global("a"), { size: 1 })], "children[1].pool", "twice"],
    ["a template and a pool", [template(global("a")), pool(global("a"), { size: 1 })], "children[1].pool", "twice"],
    ["a pool and a template", [pool(global("a"), { size: 1 }), template(global("a"))], "children[1].template", "twice"],
    [
      "a pool's member",
      [{ name: global(["a", 3]) }, pool(global("a"), { size: 1 })],
      "children",
      "a member of the pool",
    ],
    ["a session and a pool", [{ name: global("a") }, pool(global("a"), { size: 1 })], "children[1].pool", "twice"],
    ["a pool and a session", [pool(global("a"), { size: 1 }), { name: global("a") }], "children[1].name", "twice"],
    [
      "a store of its own",
      [{ name: global("a"), sessionStore: STORE }],
      "children[0].sessionStore",
      "cluster's database",
    ],
    [
      "a store in a template",
      [template(global("a"), { sessionStore: STORE })],
      "children[0].sessions.sessionStore",
      "",
    ],
    ["a plain template with our name", [template("global")], "children[0].template", "did you mean `global(…)`?"],
    ["a plain pool with our name", [pool("global", { size: 1 })], "children[0].pool", "reserved for global sessions"],
    ["a plain session below our name", [{ name: ["global", "a"] }], "children[0].name", "reserved for global sessions"],
  ])("name the field of: %s", (_, children, field, words) => {
    expect(problemsOf(children)).toEqual({ [field]: expect.stringContaining(words) });
  });

  test("are reported all at once", () => {
    const children = [{ name: global("a"), maxTurns: -1 }, template(global("b"), { maxTurns: 0 }), template("global")];
    expect(Object.keys(problemsOf(children))).toHaveLength(3);
  });

  test("include a session store in the defaults if there are global sessions", () => {
    const defaults = { sessionStore: STORE };
    expect(problemsOf([{ name: global("a") }], {}, defaults)).toHaveProperty(["defaults.sessionStore"]);
    expect(problemsOf([{ name: "a" }, pool(global("b"), { size: 1 })], {}, defaults)).toEqual({});
  });

  test('do not include a plain session named "global"', () => {
    expect(problemsOf([{ name: "global" }])).toEqual({});
  });
});
