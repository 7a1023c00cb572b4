import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ChildOptions, type ChildPlan, childPlans } from "../../src/application/options/child-options.ts";
import { type SessionChange, sessionChange, stepsBetween } from "../../src/application/tree/reconcile.ts";
import type { SessionOptions } from "../../src/session/options/options.ts";
import { sessionSettings } from "../../src/session/options/session-settings.ts";
import type { Child } from "../../src/supervision/child-spec.ts";

type Fields = Omit<SessionOptions, "name">;

const [ONE, OTHER] = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"];
const [hook, otherHook] = [async () => ({}), async () => ({})];
const hooks = (callback: () => Promise<object>): Fields => ({ hooks: { Stop: [{ hooks: [callback] }] } });
const remembering: Fields = { settings: { autoMemoryEnabled: true } };

const change = (before: Fields, after: Fields): SessionChange =>
  sessionChange(sessionSettings({ name: "a", ...before }, {}), sessionSettings({ name: "a", ...after }, {}));

describe("sessionChange", () => {
  it.each<[string, Fields, Fields, SessionChange]>([
    ["nothing", {}, {}, "none"],
    ["a default that is written out", {}, { queueTimeout: "10m", mailboxLimit: 100 }, "none"],
    ["a duration in another form", { timeout: "1m" }, { timeout: 60_000 }, "none"],
    ["equal objects", { env: { A: "1" } }, { env: { A: "1" } }, "none"],
    ["identical functions", hooks(hook), hooks(hook), "none"],
    ["timeout", {}, { timeout: "1m" }, "live"],
    ["queueTimeout", {}, { queueTimeout: "1m" }, "live"],
    ["stallTimeout", {}, { stallTimeout: "1m" }, "live"],
    ["mailboxLimit", {}, { mailboxLimit: 3 }, "live"],
    ["whenBusy", {}, { whenBusy: "reject" }, "live"],
    ["onInterruptedTurn", {}, { onInterruptedTurn: "fail" }, "live"],
    ["onMissingConversation", {}, { onMissingConversation: "fresh" }, "live"],
    ["model", { model: "a" }, { model: "b" }, "live"],
    ["a first model", {}, { model: "b" }, "live"],
    ["permissionMode", { permissionMode: "plan" }, { permissionMode: "default" }, "live"],
    ["a removed model", { model: "a" }, {}, "process"],
    ["a removed permissionMode", { permissionMode: "plan" }, {}, "process"],
    ["systemPrompt", {}, { systemPrompt: "Be kind." }, "process"],
    ["allowedTools in another order", { allowedTools: ["A", "B"] }, { allowedTools: ["B", "A"] }, "process"],
    ["env", { env: { A: "1" } }, { env: { A: "2" } }, "process"],
    ["equivalent functions", hooks(hook), hooks(otherHook), "process"],
    ["apiKey", {}, { apiKey: "k" }, "process"],
    ["inheritEnv", {}, { inheritEnv: ["A"] }, "process"],
    ["autoMemory", {}, { autoMemory: true }, "process"],
    ["autoMemory that is written out", { ...remembering }, { ...remembering, autoMemory: true }, "none"],
    ["isolate", {}, { isolate: true }, "process"],
    ["the root of isolate", { isolate: true }, { isolate: { root: "/elsewhere" } }, "process"],
    ["the root of isolate in another form", { isolate: true }, { isolate: { root: ".castellan/sessions" } }, "none"],
    ["live and process at once", {}, { timeout: 1, maxTurns: 2 }, "process"],
    ["restart", {}, { restart: "transient" }, "child"],
    ["shutdown", {}, { shutdown: "brutal_kill" }, "child"],
    ["significant", { restart: "transient" }, { restart: "transient", significant: true }, "child"],
    ["child and process at once", {}, { restart: "transient", maxTurns: 2 }, "child"],
    ["resume", { resume: ONE }, { resume: OTHER }, "session"],
    ["sessionId", {}, { sessionId: ONE }, "session"],
    ["forkSession", { resume: ONE }, { resume: ONE, forkSession: true }, "session"],
    ["resumeSessionAt", { resume: ONE }, { resume: ONE, resumeSessionAt: OTHER }, "session"],
    [
      "another controller",
      { abortController: new AbortController() },
      { abortController: new AbortController() },
      "session",
    ],
    ["everything at once", {}, { resume: ONE, restart: "transient", maxTurns: 1, timeout: 1 }, "session"],
  ])("decides on %s", (_, before, after, expected) => {
    expect(change(before, after)).toBe(expected);
  });

  it('returns "none" exactly if the reverse change does', () => {
    const fields = fc.record(
      {
        timeout: fc.nat(2),
        model: fc.constantFrom("a", "b"),
        maxTurns: fc.integer({ min: 1, max: 2 }),
        restart: fc.constantFrom("permanent", "transient"),
        resume: fc.constantFrom(ONE, OTHER),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fields, fields, (before, after) => {
        const [there, back] = [change(before as Fields, after as Fields), change(after as Fields, before as Fields)];
        expect(there === "none").toBe(back === "none");
        expect(change(before as Fields, before as Fields)).toBe("none");
      }),
    );
  });
});

interface Sketch {
  readonly id: string;
  readonly kind: "session" | "worker" | "supervisor";
  readonly variant: number;
  readonly below: readonly Sketch[];
}

const starts = [0, 1].map(() => (): Child => ({ exited: new Promise(() => {}), stop: async () => {} }));

function child({ id, kind, variant, below }: Sketch): ChildOptions {
  if (kind === "session") return { name: id, maxTurns: variant + 1, ...(variant === 2 ? { resume: ONE } : {}) };
  if (kind === "worker") return { id, start: starts[variant % 2] ?? (() => Promise.reject()) };
  return { name: id, maxRestarts: variant, children: below.map(child) };
}

const sketch = (ids: readonly string[], below: fc.Arbitrary<Sketch[]>): fc.Arbitrary<Sketch[]> =>
  fc.uniqueArray(
    fc.record({
      id: fc.constantFrom(...ids),
      kind: fc.constantFrom("session", "worker", "supervisor"),
      variant: fc.nat(2),
      below,
    }),
    { selector: ({ id }) => id },
  );

/** Trees of two levels with distinct names. */
const anyTree = sketch(["a", "b", "c", "d"], fc.constant([])).chain((top) =>
  fc
    .tuple(
      ...top.map(({ id }) =>
        sketch(
          ["x", "y", "z"].map((end) => id + end),
          fc.constant([]),
        ),
      ),
    )
    .map((below) => top.map((one, index) => ({ ...one, below: below[index] ?? [] }))),
);

const plansOf = (tree: readonly Sketch[]): ChildPlan[] =>
  childPlans(tree.map(child), { tree: {}, defaults: {}, layers: [] });

/** Applies the steps to the children, and returns them by id. */
function carriedOut(before: readonly ChildPlan[], after: readonly ChildPlan[]): Map<string, ChildPlan> {
  const plans = new Map(before.map((plan) => [plan.id, plan]));
  for (const step of stepsBetween(before, after)) {
    const { id } = step.plan;
    if (step.type === "remove") {
      expect(plans.delete(id), `${id} is there to be removed`).toBe(true);
    } else {
      expect(plans.has(id), `${id} is there exactly if it is not added`).toBe(step.type !== "add");
      const children = step.type === "descend" ? carriedOut(step.before.children, step.plan.children) : undefined;
      plans.set(id, children === undefined ? step.plan : { ...step.plan, ...kept(step.plan, children) });
    }
  }
  return plans;
}

/** Returns the children of a plan in its order, as the steps left them. */
function kept(plan: ChildPlan, children: ReadonlyMap<string, ChildPlan>): { children?: ChildPlan[] } {
  if (plan.kind !== "supervisor") return {};
  expect([...children.keys()].sort()).toEqual(plan.children.map(({ id }) => id).sort());
  return { children: plan.children.flatMap(({ id }) => children.get(id) ?? []) };
}

/** Returns what makes two plans equal; bound functions never are. */
function essence(plan: ChildPlan): unknown {
  switch (plan.kind) {
    case "session":
      return { ...plan };
    case "worker":
      return { kind: plan.kind, id: plan.id, source: plan.source, keeping: plan.supervision };
    case "template":
    case "pool":
      return { kind: plan.kind, id: plan.id };
    case "supervisor":
      return { ...plan, children: plan.children.map(essence) };
  }
}

describe("stepsBetween", () => {
  it("transforms any tree into any other", () => {
    fc.assert(
      fc.property(anyTree, anyTree, (from, to) => {
        const [before, after] = [plansOf(from), plansOf(to)];
        const reached = carriedOut(before, after);
        expect([...reached.keys()].sort()).toEqual(after.map(({ id }) => id).sort());
        expect(after.map(({ id }) => reached.get(id)).map((plan) => plan && essence(plan))).toEqual(after.map(essence));
      }),
    );
  });

  it("is empty for equal trees in any order", () => {
    fc.assert(
      fc.property(anyTree, (tree) => {
        const steps = stepsBetween(plansOf(tree), plansOf(tree.toReversed()));
        expect(steps.filter(({ type }) => type !== "descend")).toEqual([]);
      }),
    );
  });

  it("removes before it adds", () => {
    fc.assert(
      fc.property(anyTree, anyTree, (from, to) => {
        const types = stepsBetween(plansOf(from), plansOf(to)).map(({ type }) => type);
        expect(types.lastIndexOf("remove")).toBeLessThan(types.filter((type) => type === "remove").length);
      }),
    );
  });

  it.each<[string, ChildOptions, ChildOptions, string[]]>([
    [
      "a session with another conversation",
      { name: "a", resume: ONE },
      { name: "a", resume: OTHER },
      ["remove", "add"],
    ],
    ["a session with other options", { name: "a" }, { name: "a", maxTurns: 1 }, ["change"]],
    ["a session that becomes a supervisor", { name: "a" }, { name: "a", children: [] }, ["remove", "add"]],
    [
      "a supervisor with another strategy",
      { name: "s", children: [] },
      { name: "s", children: [], strategy: "one_for_all" },
      ["remove", "add"],
    ],
    [
      "a supervisor with another restart type",
      { name: "s", children: [] },
      { name: "s", children: [], restart: "transient" },
      ["remove", "add"],
    ],
    [
      "a supervisor with other children",
      { name: "s", children: [] },
      { name: "s", children: [{ name: "a" }] },
      ["descend"],
    ],
  ])("returns steps for %s", (_, before, after, expected) => {
    const parent = { tree: {}, defaults: {}, layers: [] };
    expect(stepsBetween(childPlans([before], parent), childPlans([after], parent)).map(({ type }) => type)).toEqual(
      expected,
    );
  });
});
