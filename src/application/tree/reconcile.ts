import { isDeepStrictEqual } from "node:util";
import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import { configLocations } from "../../session/options/config-location.ts";
import { effectOf, type OptionEffect, OWN_OPTIONS } from "../../session/options/option-table.ts";
import type { SessionSettings } from "../../session/options/session-settings.ts";
import {
  belongsTo,
  type ChildPlan,
  type FamilyPlan,
  isFamily,
  type SessionPlan,
  type SubtreePlan,
} from "../options/child-options.ts";

/**
 * What a change of a session's options requires, from least to most: nothing; applying them live; another process with the same
 * conversation; another child in the tree with the same conversation; another session.
 */
export type SessionChange = "none" | OptionEffect | "session";

/** Options that a running process accepts by a control request. */
const LIVE_SDK_OPTIONS: readonly (keyof SdkOptions)[] = ["model", "permissionMode"];

/** Options that choose a session's first conversation. */
const CONVERSATION_OPTIONS: readonly (keyof SdkOptions)[] = ["resume", "forkSession", "resumeSessionAt", "sessionId"];

/** Returns what changed settings require. Functions are equal only if they are identical. */
export function sessionChange(before: SessionSettings, after: SessionSettings): SessionChange {
  const sdkDiffers = (names: readonly (keyof SdkOptions)[]): boolean =>
    names.some((name) => !isDeepStrictEqual(before.sdk[name], after.sdk[name]));
  const names = [...new Set([...Object.keys(before.sdk), ...Object.keys(after.sdk)])] as (keyof SdkOptions)[];

  // Two signals are deeply equal, but only the given one terminates the session.
  const scopeDiffers = before.sdk.abortController !== after.sdk.abortController || before.signal !== after.signal;
  // The name is the same, but another registry has it, or none.
  const registryDiffers = before.registered?.registry !== after.registered?.registry;
  if (sdkDiffers(CONVERSATION_OPTIONS) || scopeDiffers || registryDiffers) return "session";
  const effects = new Set(ownEffects(before, after));
  if (effects.has("child")) return "child";
  if (effects.has("process") || sdkDiffers(names.filter((name) => !LIVE_SDK_OPTIONS.includes(name)))) return "process";
  // A control request cannot unset a model or a mode: it would have to know the default.
  if (LIVE_SDK_OPTIONS.some((name) => before.sdk[name] !== undefined && after.sdk[name] === undefined))
    return "process";
  return effects.size > 0 || sdkDiffers(LIVE_SDK_OPTIONS) ? "live" : "none";
}

/** Returns the effects of the changed Castellan options. */
function ownEffects(before: SessionSettings, after: SessionSettings): OptionEffect[] {
  return OWN_OPTIONS.filter((name) => !isDeepStrictEqual(before[name], after[name])).map((name) =>
    effectOf(name, before[name], after[name]),
  );
}

/** One step of a reconciliation. */
export type Step =
  | { readonly type: "remove"; readonly plan: ChildPlan }
  | { readonly type: "add"; readonly plan: ChildPlan }
  /** Changes the options of a session. */
  | { readonly type: "change"; readonly plan: ChildPlan & { kind: "session" }; readonly change: SessionChange }
  /**
   * Replaces the plan of a family that stays; its sessions have their own steps. `changed` says whether the family's own options
   * differ. Or replaces the plan of a session whose options are equal but come from another location.
   */
  | { readonly type: "revise"; readonly plan: FamilyPlan | SessionPlan; readonly changed: boolean }
  /** Reconciles the children of a supervisor that stays. */
  | { readonly type: "descend"; readonly before: SubtreePlan; readonly plan: SubtreePlan };

/**
 * Returns the steps from `before` to `after`. Removals come first, in reverse order, so that their names are free for additions.
 * A child stays if its id and kind match; order matters only for new children. A changed worker or supervisor is removed and
 * added again.
 */
export function stepsBetween(before: readonly ChildPlan[], after: readonly ChildPlan[]): Step[] {
  const wanted = new Map([...after, ...familySessions(after, before)].map((plan) => [plan.id, plan]));
  const present = new Map(before.map((plan) => [plan.id, plan]));
  const removals = before.filter((plan) => {
    const other = wanted.get(plan.id);
    return other === undefined || !canBecome(plan, other);
  });
  const removed = new Set(removals);
  const others = [...wanted.values()].flatMap((plan): Step[] => {
    const old = present.get(plan.id);
    if (old === undefined || removed.has(old)) return [{ type: "add", plan }];
    if (old.kind === "session" && plan.kind === "session") {
      const change = sessionChange(old.settings, plan.settings);
      if (change !== "none") return [{ type: "change", plan, change }];
      return isDeepStrictEqual(optionSources(old), optionSources(plan))
        ? []
        : [{ type: "revise", plan, changed: false }];
    }
    if (isFamily(plan))
      return [{ type: "revise", plan, changed: !isDeepStrictEqual(familyOptions(old), familyOptions(plan)) }];
    return old.kind === "supervisor" && plan.kind === "supervisor" ? [{ type: "descend", before: old, plan }] : [];
  });
  // A pool is removed before its members, which it would replace otherwise.
  const last = removals.filter((plan) => !isFamily(plan)).toReversed();
  return [...removals.filter(isFamily), ...last].map((plan): Step => ({ type: "remove", plan })).concat(others);
}

/**
 * Returns the new plans of the sessions of templates and pools that stay. A session stays unchanged if its template no longer has
 * options for it.
 */
function familySessions(after: readonly ChildPlan[], before: readonly ChildPlan[]): SessionPlan[] {
  const named = new Set(after.map(({ id }) => id));
  const families = after.filter(isFamily);
  return before.flatMap((plan) => {
    if (plan.kind !== "session" || named.has(plan.id)) return [];
    const family = families.find((one) => belongsTo(plan, one));
    return family === undefined ? [] : [replan(plan, family)];
  });
}

function replan(plan: SessionPlan, family: FamilyPlan): SessionPlan {
  try {
    return family.kind === "template" ? family.session(plan.settings.name) : family.member(plan.index ?? 0);
  } catch {
    return plan;
  }
}

/** Returns the options of a template or a pool, without those of its sessions. */
function familyOptions(plan: ChildPlan): unknown {
  if (plan.kind === "pool") {
    const { sessions: _, ...keeping } = plan.settings;
    return keeping;
  }
  if (plan.kind !== "template") return undefined;
  const { maxSessions, maxHibernated, retentionMs } = plan;
  return { maxSessions, maxHibernated, retentionMs };
}

/** Returns the owners, options and locations that make up a session's options. */
function optionSources({ layers }: SessionPlan): unknown {
  return layers.map(({ owner, options }) => ({ owner, options, locations: configLocations(options) }));
}

function canBecome(before: ChildPlan, after: ChildPlan): boolean {
  if (before.kind === "session" && after.kind === "session") {
    return sessionChange(before.settings, after.settings) !== "session";
  }
  if (before.kind === "supervisor" && after.kind === "supervisor") {
    return isDeepStrictEqual([before.tree, before.supervision], [after.tree, after.supervision]);
  }
  if (isFamily(before)) return before.kind === after.kind;
  if (before.kind === "worker" && after.kind === "worker") {
    return before.source === after.source && isDeepStrictEqual(before.supervision, after.supervision);
  }
  return false;
}
