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
 * What a change of a session's options asks for, the least first: nothing; taking them up at once; another process,
 * with the same conversation; another child in the tree, with the same conversation; another session.
 */
export type SessionChange = "none" | OptionEffect | "session";

/** Options that a live process takes up by a control request. */
const LIVE_SDK_OPTIONS: readonly (keyof SdkOptions)[] = ["model", "permissionMode"];

/** Options that say which conversation a session begins with. */
const CONVERSATION_OPTIONS: readonly (keyof SdkOptions)[] = ["resume", "forkSession", "resumeSessionAt", "sessionId"];

/** How the settings of one session differ. Functions are the same only if they are identical. */
export function sessionChange(before: SessionSettings, after: SessionSettings): SessionChange {
  const sdkDiffers = (names: readonly (keyof SdkOptions)[]): boolean =>
    names.some((name) => !isDeepStrictEqual(before.sdk[name], after.sdk[name]));
  const names = [...new Set([...Object.keys(before.sdk), ...Object.keys(after.sdk)])] as (keyof SdkOptions)[];

  // Two of them look alike to a deep comparison, and only the one that was given ends the session.
  const scopeDiffers = before.sdk.abortController !== after.sdk.abortController || before.signal !== after.signal;
  // Its name is the same, but it is found in another registry, or in none.
  const registryDiffers = before.registered?.registry !== after.registered?.registry;
  if (sdkDiffers(CONVERSATION_OPTIONS) || scopeDiffers || registryDiffers) return "session";
  const effects = new Set(ownEffects(before, after));
  if (effects.has("child")) return "child";
  if (effects.has("process") || sdkDiffers(names.filter((name) => !LIVE_SDK_OPTIONS.includes(name)))) return "process";
  // A model or mode that is taken back cannot be told to a process that runs; it would have to know the default.
  if (LIVE_SDK_OPTIONS.some((name) => before.sdk[name] !== undefined && after.sdk[name] === undefined))
    return "process";
  return effects.size > 0 || sdkDiffers(LIVE_SDK_OPTIONS) ? "live" : "none";
}

/** What the options of Castellan's own that differ ask for. */
function ownEffects(before: SessionSettings, after: SessionSettings): OptionEffect[] {
  return OWN_OPTIONS.filter((name) => !isDeepStrictEqual(before[name], after[name])).map((name) =>
    effectOf(name, before[name], after[name]),
  );
}

/** One step from the children that are to those that are wanted. */
export type Step =
  | { readonly type: "remove"; readonly plan: ChildPlan }
  | { readonly type: "add"; readonly plan: ChildPlan }
  /** A session whose options have changed. */
  | { readonly type: "change"; readonly plan: ChildPlan & { kind: "session" }; readonly change: SessionChange }
  /**
   * A template or a pool that stays, and whose sessions have steps of their own; `changed` says whether how it keeps them has. Or a session
   * whose options are the same, from elsewhere.
   */
  | { readonly type: "revise"; readonly plan: FamilyPlan | SessionPlan; readonly changed: boolean }
  /** A supervisor that stays, and whose children are to be looked at in turn. */
  | { readonly type: "descend"; readonly before: SubtreePlan; readonly plan: SubtreePlan };

/**
 * The steps from `before` to `after`, removals first and in reverse, so that names are free for those who take them. Children are the
 * same if they have the same id and kind; their order counts for new ones only. A worker or supervisor that has changed is
 * removed and added again.
 */
export function stepsBetween(before: readonly ChildPlan[], after: readonly ChildPlan[]): Step[] {
  const wanted = new Map([...after, ...livingBy(after, before)].map((plan) => [plan.id, plan]));
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
      return isDeepStrictEqual(originsOf(old), originsOf(plan)) ? [] : [{ type: "revise", plan, changed: false }];
    }
    if (isFamily(plan)) return [{ type: "revise", plan, changed: !isDeepStrictEqual(keepingOf(old), keepingOf(plan)) }];
    return old.kind === "supervisor" && plan.kind === "supervisor" ? [{ type: "descend", before: old, plan }] : [];
  });
  // A pool goes before its members, which it would replace.
  const last = removals.filter((plan) => !isFamily(plan)).toReversed();
  return [...removals.filter(isFamily), ...last].map((plan): Step => ({ type: "remove", plan })).concat(others);
}

/**
 * What the sessions that have come to life by templates, and the members of pools, are to be, where the template or pool stays.
 * One whose template makes no options of its name any more is left as it is.
 */
function livingBy(after: readonly ChildPlan[], before: readonly ChildPlan[]): SessionPlan[] {
  const named = new Set(after.map(({ id }) => id));
  const families = after.filter(isFamily);
  return before.flatMap((plan) => {
    if (plan.kind !== "session" || named.has(plan.id)) return [];
    const family = families.find((one) => belongsTo(plan, one));
    return family === undefined ? [] : [plannedAnew(plan, family)];
  });
}

function plannedAnew(plan: SessionPlan, family: FamilyPlan): SessionPlan {
  try {
    return family.kind === "template" ? family.session(plan.settings.name) : family.member(plan.index ?? 0);
  } catch {
    return plan;
  }
}

/** How a template or a pool keeps its sessions, apart from what their options are. */
function keepingOf(plan: ChildPlan): unknown {
  if (plan.kind === "pool") {
    const { sessions: _, ...keeping } = plan.settings;
    return keeping;
  }
  if (plan.kind !== "template") return undefined;
  const { maxSessions, maxHibernated, retentionMs } = plan;
  return { maxSessions, maxHibernated, retentionMs };
}

/** What the options of a session are made of. */
function originsOf({ layers }: SessionPlan): unknown {
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
