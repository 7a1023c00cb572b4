import { withoutUndefined } from "../../fields.ts";
import { nameKey, type SessionName } from "../../names.ts";
import type { SessionPlan, TemplatePlan } from "../options/child-options.ts";
import type { Branch } from "../tree/branch.ts";
import type { SessionTable } from "../tree/session-table.ts";
import type { Tree } from "../tree/tree.ts";
import { type EffectiveOptions, effectiveOptions } from "./effective-options.ts";

/** A template of a supervisor. */
export interface TemplateInfo {
  /** The first part of the names of its sessions. */
  readonly name: string;
  /** The options of its sessions; left out if a function makes them. */
  readonly options?: EffectiveOptions;
}

/** Returns the templates of the tree, in start order. */
export function templateInfos({ root }: Tree): TemplateInfo[] {
  return templatePlans(root).map((plan) => {
    const options = plan.common === undefined ? undefined : plannedOptions(plan.session([plan.id, "key"]));
    return { name: plan.id, ...withoutUndefined({ options }) };
  });
}

/** Returns the options of a session in memory, or of a template; undefined if there is no session of this name. */
export function optionsOfSession(
  { root }: Tree,
  sessions: SessionTable,
  name: SessionName,
): EffectiveOptions | undefined {
  const key = nameKey(name);
  const server = sessions.ofChild(key)?.server;
  if (server !== undefined) {
    const { settings, granted, launch } = server;
    const plan = root.branchOf(key)?.plan(key);
    const planned = plan?.kind === "session" ? plan : { settings, layers: [] };
    return effectiveOptions(planned.settings, planned.layers, settings, granted.mode?.now, launch.environment);
  }
  const template = typeof name === "string" ? undefined : templatePlans(root).find(({ id }) => id === name[0]);
  return template === undefined ? undefined : plannedOptions(template.session(name));
}

function plannedOptions({ settings, layers }: SessionPlan): EffectiveOptions {
  return effectiveOptions(settings, layers, settings, undefined, {});
}

function templatePlans(branch: Branch): TemplatePlan[] {
  return branch.plans.flatMap((plan) => {
    if (plan.kind === "template") return [plan];
    const below = plan.kind === "supervisor" ? branch.below(plan.id) : undefined;
    return below === undefined ? [] : templatePlans(below);
  });
}
