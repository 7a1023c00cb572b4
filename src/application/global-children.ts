import { poolRule, templateRule } from "../cluster/placement.ts";
import type { Hosted, PlacementRule } from "../cluster/protocol/engine.ts";
import { CastellanError, type OptionProblem } from "../errors.ts";
import { nameKey, nameOfKey, type SessionName } from "../names.ts";
import { type PoolOptions, type PoolSettings, poolSettings } from "../pool/pool-options.ts";
import {
  GLOBAL,
  type GlobalName,
  globalNameOf,
  isGlobalName,
  labelsOf,
  preferenceOf,
} from "../session/options/global-name.ts";
import type { SessionDefaults, SessionOptions } from "../session/options/options.ts";
import { sessionSettings } from "../session/options/session-settings.ts";
import { invalidOptions } from "../session/options/validation.ts";
import type { ChildOptions } from "./options/child-options.ts";
import { type TemplateOptions, type TemplateSettings, templateSettings } from "./options/template.ts";

/** The children of a node, split into those that exist once per cluster and those that exist once per process. */
export interface GlobalChildren {
  /** The children of this process, including global pools: each node has its own members of them. */
  readonly local: readonly ChildOptions[];
  /** The global children that this node can host. */
  readonly hosts: Hosted;
  /** The keys of global sessions that must always run on some node. */
  readonly wanted: readonly string[];
  /** The limits for hibernated sessions, combined from all templates. */
  readonly keeping: { readonly maxHibernated: number; readonly retentionMs: number };
  /** The settings of each global pool of this node, by name. */
  readonly pools: ReadonlyMap<string, PoolSettings>;
  /** Whether a global session of this name is declared. */
  knows(name: SessionName): boolean;
  /** Returns the options of the global session of this name. @throws CastellanError `INVALID_OPTIONS` */
  optionsOf(name: SessionName): SessionDefaults | undefined;
}

/** A session with a global name. */
type GlobalSessionOptions = SessionOptions & { readonly name: GlobalName };

/**
 * Splits children into global and local ones.
 *
 * @param labels the labels of this node, which global children may require
 * @param defaults the session options of the supervisor
 * @throws CastellanError `INVALID_OPTIONS` with all problems of global children
 */
export function globalChildren(
  children: readonly ChildOptions[],
  labels: Readonly<Record<string, string>>,
  defaults: SessionDefaults,
): GlobalChildren {
  const sessions = new Map<string, SessionDefaults>();
  const templates = new Map<string, TemplateSettings>();
  const pools = new Set<string>();
  const hostedPools = new Map<string, PoolSettings>();
  const members = new Map<string, SessionDefaults>();
  const local: ChildOptions[] = [];
  const hosts = { sessions: [] as string[], templates: [] as string[], pools: [] as string[] };
  const problems: OptionProblem[] = [];
  const collect = (at: string, work: () => void): void => {
    try {
      work();
    } catch (error) {
      if (!CastellanError.is(error, "INVALID_OPTIONS")) throw error;
      problems.push(...error.details.problems.map(({ field, message }) => ({ field: field || at, message })));
    }
  };
  const rules: Record<string, PlacementRule> = {};
  const prefer = (rule: string, name: GlobalName): void => {
    const preferred = preferenceOf(name);
    if (preferred !== undefined) rules[rule] = preferred;
  };
  const fits = (name: GlobalName): boolean =>
    Object.entries(labelsOf(name)).every(([label, value]) => labels[label] === value);
  const single = (name: GlobalName, at: string): string => {
    const [, first, ...rest] = globalNameOf(name);
    if (typeof first === "string" && rest.length === 0) return first;
    throw invalidOptions("supervisor", [{ field: at, message: "expected `global` of a string, not of a tuple" }]);
  };
  children.forEach((child, index) => {
    const at = `children[${index}]`;
    collect(at, () => {
      if (isGlobalTemplate(child)) {
        const name = single(child.template, `${at}.template`);
        if (templates.has(name) || pools.has(name)) throw declaredTwice(`${at}.template`, formatParts([name]));
        if (typeof child.sessions === "object") refuseStore(child.sessions, `${at}.sessions`);
        const settings = templateSettings({ ...child, template: name }, at);
        if (child.maxSessions !== undefined) {
          throw invalidOptions("supervisor", [{ field: `${at}.maxSessions`, message: NO_MAX_SESSIONS }]);
        }
        templates.set(name, settings);
        prefer(templateRule(name), child.template);
        if (fits(child.template)) hosts.templates.push(name);
      } else if (isGlobalPool(child)) {
        const name = single(child.pool, `${at}.pool`);
        if (pools.has(name) || templates.has(name) || sessions.has(nameKey([GLOBAL, name])))
          throw declaredTwice(`${at}.pool`, formatParts([name]));
        pools.add(name);
        prefer(poolRule(name), child.pool);
        if (!fits(child.pool)) return;
        const here = { ...child, pool: name };
        hostedPools.set(name, poolSettings(here, at));
        hosts.pools.push(name);
        local.push(here);
      } else if (isGlobalSession(child)) {
        const { name, ...options } = child;
        const [, ...parts] = globalNameOf(name);
        const key = nameKey(globalNameOf(name));
        const [first] = parts;
        if (sessions.has(key) || (parts.length === 1 && pools.has(String(first)))) {
          throw declaredTwice(`${at}.name`, formatParts(parts));
        }
        refuseStore(options, at);
        // Invalid options are reported before any node tries to start the session.
        sessionSettings({ ...options, name: globalNameOf(name) }, defaults, at);
        sessions.set(key, { activation: "eager", ...options });
        prefer(key, name);
        if (fits(name)) hosts.sessions.push(key);
      } else {
        refuseReserved(child, at);
        local.push(child);
      }
    });
  });
  for (const key of sessions.keys()) {
    const name = nameOfKey(key);
    const [, pool, index, ...rest] = typeof name === "string" ? [] : name;
    if (typeof index !== "number" || rest.length > 0 || !pools.has(String(pool))) continue;
    const message = `${formatParts([String(pool), index])} is the name of a member of the pool ${JSON.stringify(pool)}`;
    problems.push({ field: "children", message });
  }
  if (defaults.sessionStore !== undefined && sessions.size + templates.size > 0) {
    problems.push({
      field: "defaults.sessionStore",
      message: `${NO_SESSION_STORE}. Set it on the sessions that are not global`,
    });
  }
  if (problems.length > 0) throw invalidOptions("supervisor", problems);
  const allTemplates = [...templates.values()];
  const templateOf = (name: SessionName): TemplateSettings | undefined =>
    typeof name === "string" || name.length < 3 ? undefined : templates.get(String(name[1]));
  /** Returns the options of a pool's member that runs jobs. Its transcripts are in the cluster's database. */
  const memberOf = (name: SessionName): SessionDefaults | undefined => {
    if (typeof name === "string" || name.length !== 3 || typeof name[2] !== "number") return undefined;
    const settings = hostedPools.get(String(name[1]));
    const key = nameKey(name);
    if (settings !== undefined && !members.has(key)) {
      const { sessionStore: _, ...own } = settings.sessions(name[2]);
      members.set(key, { activation: "lazy", ...own });
    }
    return members.get(key);
  };
  return {
    pools: hostedPools,
    local,
    hosts: Object.keys(rules).length === 0 ? hosts : { ...hosts, rules },
    wanted: hosts.sessions.filter((key) => sessions.get(key)?.activation !== "lazy"),
    keeping: {
      maxHibernated: sessions.size + allTemplates.reduce((sum, { maxHibernated }) => sum + maxHibernated, 0),
      retentionMs: Math.min(5 * 60_000, ...allTemplates.map(({ retentionMs }) => retentionMs)),
    },
    knows: (name) => sessions.has(nameKey(name)) || templateOf(name) !== undefined || memberOf(name) !== undefined,
    optionsOf: (name) => {
      const declared = sessions.get(nameKey(name)) ?? memberOf(name);
      if (declared !== undefined || typeof name === "string") return declared;
      const [, first, ...key] = name;
      return templateOf(name)?.optionsOf([String(first), ...key]);
    },
  };
}

function isGlobalSession(child: ChildOptions): child is GlobalSessionOptions {
  return typeof child === "object" && child !== null && "name" in child && isGlobalName(child.name);
}

function isGlobalTemplate(child: ChildOptions): child is TemplateOptions & { template: GlobalName } {
  return typeof child === "object" && child !== null && "template" in child && isGlobalName(child.template);
}

function isGlobalPool(child: ChildOptions): child is PoolOptions & { pool: GlobalName } {
  return typeof child === "object" && child !== null && "pool" in child && isGlobalName(child.pool);
}

const NO_MAX_SESSIONS = "cannot be set on a global template: no node counts its sessions. See `cluster.maxProcesses`";

/** Why `sessionStore` is not allowed. */
export const NO_SESSION_STORE = "cannot be set on a global session: its transcripts are in the cluster's database";

/** @throws CastellanError `INVALID_OPTIONS` */
function refuseStore(options: SessionDefaults, at: string): void {
  if (options.sessionStore === undefined) return;
  throw invalidOptions("supervisor", [{ field: `${at}.sessionStore`, message: NO_SESSION_STORE }]);
}

/**
 * Rejects a child whose name is reserved for the global sessions on this node.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
function refuseReserved(child: ChildOptions, at: string): void {
  if (typeof child !== "object" || child === null || "children" in child || "start" in child) return;
  const [field, name] =
    "template" in child ? ["template", child.template] : "pool" in child ? ["pool", child.pool] : ["name", child.name];
  const first: unknown = Array.isArray(name) ? name[0] : field === "name" ? undefined : name;
  if (first !== GLOBAL) return;
  const message = `names that begin with ${JSON.stringify(GLOBAL)} are reserved for global sessions; did you mean \`global(…)\`?`;
  throw invalidOptions("supervisor", [{ field: `${at}.${field}`, message }]);
}

function declaredTwice(field: string, name: string): CastellanError {
  return invalidOptions("supervisor", [{ field, message: `${name} is declared twice as ${GLOBAL}` }]);
}

/** Formats a name as it was given to `global`. */
function formatParts(parts: readonly (string | number)[]): string {
  return JSON.stringify(parts.length === 1 ? parts[0] : parts);
}
