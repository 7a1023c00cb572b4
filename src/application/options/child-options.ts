import { z } from "zod";
import type { Duration } from "../../duration.ts";
import { CastellanError, type OptionProblem } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import { formatName, nameProblem, type SessionName } from "../../names.ts";
import { type PoolOptions, type PoolSettings, poolSettings } from "../../pool/pool-options.ts";
import type { SessionDefaults, SessionOptions } from "../../session/options/options.ts";
import { checkSessionDefaults, type SessionSettings, sessionSettings } from "../../session/options/session-settings.ts";
import { durationSchema, invalidOptions, validate } from "../../session/options/validation.ts";
import type { Child, ChildSpec, Restart, Shutdown, StartContext } from "../../supervision/child-spec.ts";
import type { SupervisorSpec } from "../../supervision/supervisor-spec.ts";
import type { OptionLayer } from "./supervisor-options.ts";
import { type TreeOptions, treeShape } from "./supervisor-options.ts";
import { type TemplateOptions, templateSettings } from "./template.ts";

/** OTP's options of a child that is not a session. */
interface SupervisionOptions {
  /** Default `"permanent"`. */
  restart?: Restart;
  /** Default `"5s"` for a worker, `"infinity"` for a supervisor. */
  shutdown?: Duration | "brutal_kill" | "infinity";
  /** Default `false`. */
  significant?: boolean;
}

/**
 * A child of the application's own, such as a connection or a server.
 *
 * @example
 * { id: "webhooks", start: async () => new WebhookServer() } // with `exited` and `stop()`, see Child
 */
export interface WorkerOptions extends SupervisionOptions {
  /** Must be unique within its supervisor. */
  id: string;
  /** Starts the worker. A rejection counts as a crash. */
  start(context: StartContext): Promise<Child> | Child;
}

/** A supervisor below another one, with its own children. */
export interface SubtreeOptions extends SupervisionOptions, TreeOptions {
  /** Must be unique among the names and ids of its supervisor's children. */
  name: string;
  children: readonly ChildOptions[];
  /** Session options for the sessions below it. They override the defaults of the supervisors above. */
  defaults?: SessionDefaults;
}

/** The options of a child: a session, a template, a pool, a supervisor (it has `children`), or a worker (it has `start`). */
export type ChildOptions = SessionOptions | TemplateOptions | PoolOptions | SubtreeOptions | WorkerOptions;

/** A validated child with its defaults applied. */
export type ChildPlan = SessionPlan | FamilyPlan | SubtreePlan | WorkerPlan;

/** A child that its supervisor starts itself. */
export type TreePlan = Exclude<ChildPlan, FamilyPlan>;

/** A template or a pool: not a child of the tree itself, but its sessions are. */
export type FamilyPlan = TemplatePlan | PoolPlan;

export interface SessionPlan {
  readonly kind: "session";
  readonly id: string;
  readonly settings: SessionSettings;
  /** The layers of options that make up the settings: the outermost supervisor's first, the session's own last. */
  readonly layers: readonly OptionLayer[];
  /** The template that the session belongs to. */
  readonly template?: string;
  /** The pool that the session is a member of, and its index there. */
  readonly pool?: string;
  readonly index?: number;
}

export interface PoolPlan {
  readonly kind: "pool";
  readonly id: string;
  readonly settings: PoolSettings;
  /** Returns the plan of the member with this index, the same object each time. @throws CastellanError `INVALID_OPTIONS` */
  readonly member: (index: number) => SessionPlan;
}

export interface TemplatePlan {
  readonly kind: "template";
  readonly id: string;
  readonly maxSessions: number;
  readonly maxHibernated: number;
  readonly retentionMs: number;
  /** The settings of all its sessions; undefined if a function makes them. */
  readonly common: SessionSettings | undefined;
  /** Returns the plan of the session with this name. @throws CastellanError `INVALID_OPTIONS` */
  readonly session: (name: SessionName) => SessionPlan;
}

export interface SubtreePlan {
  readonly kind: "supervisor";
  readonly id: string;
  readonly supervision: SupervisionSettings;
  readonly tree: SupervisorSpec;
  readonly children: readonly ChildPlan[];
}

export interface WorkerPlan {
  readonly kind: "worker";
  readonly id: string;
  readonly supervision: SupervisionSettings;
  readonly start: ChildSpec["start"];
  /** The application's own function, by which a reconciliation recognises the worker. */
  readonly source: unknown;
}

/** {@link SupervisionOptions} with durations in milliseconds. The tree applies the defaults. */
export interface SupervisionSettings {
  readonly restart?: Restart;
  readonly shutdown?: Shutdown;
  readonly significant?: boolean;
}

const supervisionShape = {
  restart: z.enum(["permanent", "transient", "temporary"]).optional(),
  shutdown: z.union([z.enum(["brutal_kill", "infinity"]), durationSchema]).optional(),
  significant: z.boolean().optional(),
};

const workerSchema = z.strictObject({
  id: z.string().min(1),
  start: z.custom<ChildSpec["start"]>((value) => typeof value === "function", "expected a function"),
  ...supervisionShape,
});

const subtreeSchema = z.strictObject({
  name: z.string().min(1),
  children: z.array(z.unknown()),
  defaults: z.looseObject({}).optional(),
  ...treeShape,
  ...supervisionShape,
});

/** The supervisor for which children are planned. */
export interface Parent {
  readonly tree: SupervisorSpec;
  readonly defaults: SessionDefaults;
  /** The layers of options that make up the defaults, the outermost supervisor's first. */
  readonly layers: readonly OptionLayer[];
}

/**
 * Returns the plans of `children`. Checks the whole tree before it throws.
 *
 * @throws CastellanError `INVALID_OPTIONS` with all problems
 */
export function childPlans(children: readonly ChildOptions[], parent: Parent): ChildPlan[] {
  const problems: OptionProblem[] = [];
  const plans = plansOf(children, parent, "children", problems, new Map());
  if (problems.length > 0) throw invalidOptions("supervisor", problems);
  return plans;
}

/** Returns the plan of one child. @throws CastellanError `INVALID_OPTIONS` */
export function childPlan(child: ChildOptions, parent: Parent): ChildPlan {
  if (isObject(child) && ("children" in child || "start" in child || "template" in child || "pool" in child)) {
    const problems: OptionProblem[] = [];
    const plan = planOf(child, parent, "", problems, new Map());
    if (plan === undefined || problems.length > 0) throw invalidOptions("child", problems);
    return plan;
  }
  return sessionPlan(child, parent);
}

/** Returns the plan of a session. @throws CastellanError `INVALID_OPTIONS` */
export function sessionPlan(
  options: SessionOptions,
  parent: Parent,
  at = "",
  own: OptionLayer = { owner: { kind: "session" }, options },
): SessionPlan {
  const settings = sessionSettings(options, parent.defaults, at);
  const field = at === "" ? "significant" : `${at}.significant`;
  if (settings.significant) refuseSignificant(parent, `session ${formatName(settings.name)}`, field);
  return { kind: "session", id: settings.key, settings, layers: [...parent.layers, own] };
}

/** Returns the sessions of these plans and of everything below them, in start order. */
export function sessionsOf(plans: readonly ChildPlan[]): SessionPlan[] {
  return plans.flatMap((plan) => {
    if (plan.kind === "supervisor") return sessionsOf(plan.children);
    return plan.kind === "session" ? [plan] : [];
  });
}

/** The field that identifies each kind of child. */
const FIELDS = { session: "name", supervisor: "name", template: "template", pool: "pool", worker: "id" } as const;

/** Returns the templates and pools of these plans and of everything below them. */
export function familiesOf(plans: readonly ChildPlan[]): FamilyPlan[] {
  return plans.flatMap((plan) => {
    if (plan.kind === "supervisor") return familiesOf(plan.children);
    return isFamily(plan) ? [plan] : [];
  });
}

export function isFamily(plan: ChildPlan): plan is FamilyPlan {
  return plan.kind === "template" || plan.kind === "pool";
}

/** Whether a session belongs to this template or pool. */
export function belongsTo(plan: ChildPlan, family: Pick<FamilyPlan, "kind" | "id">): plan is SessionPlan {
  return plan.kind === "session" && plan[family.kind] === family.id;
}

type Problems = OptionProblem[];

/** The path at which each session of the tree, or each child of one supervisor, was declared first. */
type FirstPaths = Map<string, string>;

function plansOf(
  children: readonly ChildOptions[],
  parent: Parent,
  at: string,
  problems: Problems,
  sessions: FirstPaths,
): ChildPlan[] {
  if (!Array.isArray(children)) {
    problems.push({ field: at, message: "expected an array of sessions, supervisors and workers" });
    return [];
  }
  const siblings: FirstPaths = new Map();
  return children.flatMap((child: ChildOptions, index) => {
    const path = `${at}[${index}]`;
    const plan = planOf(child, parent, path, problems, sessions);
    if (plan === undefined) return [];
    const ids = idsOf(plan);
    const other = ids.map((id) => siblings.get(id)).find((found) => found !== undefined);
    const first = other ?? (plan.kind === "session" ? sessions.get(plan.id) : undefined);
    if (first === undefined) {
      for (const id of ids) siblings.set(id, path);
      if (plan.kind === "session") sessions.set(plan.id, path);
      return [plan];
    }
    const field = `${path}.${FIELDS[plan.kind]}`;
    problems.push({ field, message: `${nameOf(plan)} is also the name of ${first}` });
    return [];
  });
}

function planOf(
  child: ChildOptions,
  parent: Parent,
  at: string,
  problems: Problems,
  sessions: FirstPaths,
): ChildPlan | undefined {
  try {
    if (isObject(child) && "children" in child) return subtreePlan(child, parent, at, problems, sessions);
    if (isObject(child) && "template" in child) return templatePlan(child, parent, at);
    if (isObject(child) && "pool" in child) return poolPlan(child, parent, at);
    if (isObject(child) && "start" in child) return workerPlan(child, parent, at);
    return sessionPlan(child, parent, at);
  } catch (error) {
    if (!CastellanError.is(error, "INVALID_OPTIONS")) throw error;
    problems.push(...error.details.problems);
    return undefined;
  }
}

function workerPlan(child: WorkerOptions, parent: Parent, at: string): WorkerPlan {
  const { id, start, ...supervision } = validate(workerSchema, child, "worker", at);
  checkSignificant(parent, `worker "${id}"`, supervision, at);
  // Bound, because `start` may be a method of the application's object.
  return {
    kind: "worker",
    id,
    start: start.bind(child),
    source: child.start,
    supervision: withoutUndefined(supervision),
  };
}

function templatePlan(child: TemplateOptions, parent: Parent, at: string): TemplatePlan {
  const { name: id, maxSessions, maxHibernated, retentionMs, alike, optionsOf } = templateSettings(child, at);
  // Any number of sessions may be named, so none gets a process before its first turn.
  const { activation = "lazy" } = parent.defaults;
  const owner = { kind: "template", name: id } as const;
  // Sessions with the same options share them.
  let layers: readonly OptionLayer[] | undefined;
  const session = (name: SessionName): SessionPlan => {
    const options = optionsOf(name);
    if (layers?.at(-1)?.options !== options) layers = [...parent.layers, { owner, options }];
    const { kind, id: key, settings } = sessionPlan({ activation, ...options, name }, parent);
    return { kind, id: key, settings, layers, template: id };
  };
  // Options that all sessions share are checked at once, before any session is named.
  const common = alike ? session([id, "key"]).settings : undefined;
  return { kind: "template", id, maxSessions, maxHibernated, retentionMs, common, session };
}

function poolPlan(child: PoolOptions, parent: Parent, at: string): PoolPlan {
  const settings = poolSettings(child, at);
  const { activation = "lazy" } = parent.defaults;
  const plans = new Map<number, SessionPlan>();
  const member = (index: number): SessionPlan => {
    const known = plans.get(index);
    if (known !== undefined) return known;
    const options = settings.sessions(index);
    const own = { owner: { kind: "pool", name: settings.name }, options } as const;
    const named = { activation, ...options, name: [settings.name, index] as const };
    const plan = { ...sessionPlan(named, parent, at, own), pool: settings.name, index };
    plans.set(index, plan);
    return plan;
  };
  // Reports problems that all members share, before any member exists.
  member(0);
  return { kind: "pool", id: settings.name, settings, member };
}

function subtreePlan(
  child: SubtreeOptions,
  parent: Parent,
  at: string,
  problems: Problems,
  sessions: FirstPaths,
): SubtreePlan {
  const parsed = validate(subtreeSchema, child, "supervisor", at);
  const { name, children: _, defaults: _own, restart, shutdown, significant, ...tree } = parsed;
  const supervision = withoutUndefined({ restart, shutdown, significant });
  checkSignificant(parent, `supervisor "${name}"`, supervision, at);
  const defaults = checkSessionDefaults(child.defaults ?? {}, `supervisor "${name}"`, fieldAt(at, "defaults"));
  const layer: OptionLayer = { owner: { kind: "supervisor", name }, options: defaults };
  const own: Parent = {
    tree: withoutUndefined(tree),
    defaults: { ...parent.defaults, ...defaults },
    layers: [...parent.layers, layer],
  };
  const children = plansOf(child.children, own, fieldAt(at, "children"), problems, sessions);
  return { kind: "supervisor", id: name, supervision, tree: own.tree, children };
}

/** Rejects what the tree would reject, before anything starts. */
function checkSignificant(
  parent: Parent,
  what: string,
  { significant, restart = "permanent" }: { significant?: boolean | undefined; restart?: Restart | undefined },
  at: string,
): void {
  if (significant !== true) return;
  const field = fieldAt(at, "significant");
  refuseSignificant(parent, what, field);
  if (restart !== "permanent") return;
  const message = 'a permanent child cannot be significant; set `restart` to "transient" or "temporary"';
  throw invalidOptions(what, [{ field, message }]);
}

function fieldAt(at: string, field: string): string {
  return at === "" ? field : `${at}.${field}`;
}

/** A significant child has no meaning for a supervisor without automatic shutdown. */
function refuseSignificant({ tree }: Parent, what: string, field: string): void {
  if ((tree.autoShutdown ?? "never") !== "never") return;
  const message = "has no effect: the supervisor's `autoShutdown` is `never`";
  throw invalidOptions(what, [{ field, message }]);
}

/** Returns the identifiers of a child among its siblings: its id in the tree and, for a session, its name. */
function idsOf(plan: ChildPlan): readonly string[] {
  return plan.kind === "session" && typeof plan.settings.name === "string" ? [plan.id, plan.settings.name] : [plan.id];
}

function nameOf(plan: ChildPlan): string {
  return plan.kind === "session" ? formatName(plan.settings.name) : JSON.stringify(plan.id);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && nameProblem(value) !== undefined;
}
