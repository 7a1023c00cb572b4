import type { PermissionMode, PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import { permissionModeSchema } from "../../claude/permission-mode.ts";
import type { StandingPermissions } from "../../claude/standing-permissions.ts";
import { withoutUndefined } from "../../fields.ts";

/**
 * What a session may do beyond its options, or may not: its current mode, and the approved rules and directories.
 * Grants belong to the conversation, and every process that resumes it receives them.
 */
export interface Granted extends StandingPermissions {
  readonly mode?: GrantedMode | undefined;
}

interface GrantedMode {
  readonly now: PermissionMode;
  /** The mode before plan mode, to which an approved plan returns. */
  readonly back?: PermissionMode | undefined;
  /** The session's option when the mode was entered. */
  readonly option?: PermissionMode | undefined;
}

export type GrantedEvent =
  /** The process changed its mode; `from` is unknown if it had not reported one. */
  | {
      readonly type: "mode";
      readonly now: PermissionMode;
      readonly from: PermissionMode | undefined;
      readonly option: PermissionMode | undefined;
    }
  /** An answer to a permission request granted this in addition. */
  | { readonly type: "approved"; readonly updates: readonly PermissionUpdate[] }
  /** The session's option changed. */
  | { readonly type: "configured"; readonly option: PermissionMode | undefined }
  /** All grants are revoked. */
  | { readonly type: "revoked" };

export const NOTHING_GRANTED: Granted = { allow: [], deny: [], ask: [], directories: [] };

/**
 * The limit for allow rules and for directories. The oldest are dropped, and their permissions asked for again. Grants
 * are written with each turn, and a hook may add one with each tool.
 */
const MOST_GRANTED = 1_000;

const textsSchema = z.array(z.string());

/** The form that the journal keeps. */
export const grantedSchema: z.ZodType<Granted> = z.object({
  mode: z
    .object({
      now: permissionModeSchema,
      back: permissionModeSchema.optional(),
      option: permissionModeSchema.optional(),
    })
    .optional(),
  allow: textsSchema,
  deny: textsSchema,
  ask: textsSchema,
  directories: textsSchema,
});

/** Claude Code writes grants for files itself, and a process reads them from there. */
const destinationSchema = z.enum(["userSettings", "projectSettings", "localSettings", "session", "cliArg"]);

const ruleSchema = z.object({ toolName: z.string(), ruleContent: z.string().optional() });

type Rule = z.infer<typeof ruleSchema>;

const updateSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.enum(["addRules", "replaceRules", "removeRules"]),
    rules: z.array(ruleSchema),
    behavior: z.enum(["allow", "deny", "ask"]),
    destination: destinationSchema,
  }),
  z.object({
    type: z.enum(["addDirectories", "removeDirectories"]),
    directories: textsSchema,
    destination: destinationSchema,
  }),
  z.object({ type: z.literal("setMode"), mode: permissionModeSchema, destination: destinationSchema }),
]);

type Update = z.infer<typeof updateSchema>;

/** Returns the grants after `event`; the same object if nothing changes. */
export function nextGranted(granted: Granted, event: GrantedEvent): Granted {
  switch (event.type) {
    case "mode":
      return withMode(granted, modeAfter(granted.mode, event));
    case "approved": {
      // Claude Code ignores a list with an entry that it does not understand.
      const read = z.array(updateSchema).safeParse(event.updates);
      return (read.data ?? []).reduce(afterUpdate, granted);
    }
    case "configured":
      return granted.mode?.option === event.option ? granted : withMode(granted, undefined);
    case "revoked":
      return isNothing(granted) ? granted : NOTHING_GRANTED;
  }
}

export function isNothing({ mode, allow, deny, ask, directories }: Granted): boolean {
  return mode === undefined && [allow, deny, ask, directories].every(({ length }) => length === 0);
}

/** Whether a grant was dropped, which a running process has to be told. */
export function hasDropped(before: Granted, after: Granted): boolean {
  const lacks = (list: readonly string[], other: readonly string[]): boolean =>
    list.some((one) => !other.includes(one));
  return (["allow", "deny", "ask", "directories"] as const).some((list) => lacks(before[list], after[list]));
}

function modeAfter(
  before: GrantedMode | undefined,
  { now, from, option }: GrantedEvent & { readonly type: "mode" },
): GrantedMode | undefined {
  const back = now !== "plan" ? undefined : from === "plan" ? before?.back : from;
  // Equal to the default.
  if (now === option && (back ?? "default") === "default") return undefined;
  return withoutUndefined({ now, back, option });
}

function withMode(granted: Granted, mode: GrantedMode | undefined): Granted {
  const { mode: before, ...rest } = granted;
  if (before?.now === mode?.now && before?.back === mode?.back && before?.option === mode?.option) return granted;
  return mode === undefined ? rest : { ...rest, mode };
}

/** Ignores modes, because the process reports its mode itself and does not accept every change. */
function afterUpdate(granted: Granted, update: Update): Granted {
  if (update.type === "setMode" || (update.destination !== "session" && update.destination !== "cliArg"))
    return granted;
  if ("directories" in update) {
    return withList(granted, "directories", update.type === "addDirectories" ? "add" : "remove", update.directories);
  }
  const how = ({ addRules: "add", replaceRules: "replace", removeRules: "remove" } as const)[update.type];
  // Claude Code ignores a list of rules if one of them has content that amounts to none, which would allow everything.
  if (update.behavior === "allow" && how !== "remove" && update.rules.some(saysNothing)) return granted;
  return withList(granted, update.behavior, how, update.rules.map(writtenRule));
}

function withList(
  granted: Granted,
  name: "allow" | "deny" | "ask" | "directories",
  how: "add" | "replace" | "remove",
  texts: readonly string[],
): Granted {
  const before = granted[name];
  const after =
    how === "remove"
      ? before.filter((text) => !texts.includes(text))
      : [...new Set(how === "add" ? [...before, ...texts] : texts)];
  if (after.length === before.length && after.every((text, at) => text === before[at])) return granted;
  const bounded = name === "allow" || name === "directories" ? after.slice(-MOST_GRANTED) : after;
  return { ...granted, [name]: bounded };
}

/** Tools whose rules are path patterns, in which a star matches one file name. */
const FILE_TOOLS: ReadonlySet<string> = new Set(["Read", "Write", "Edit", "NotebookEdit", "Glob", "Grep"]);

/** Whether the content of a rule amounts to none. */
function saysNothing({ toolName, ruleContent }: Rule): boolean {
  return ruleContent === "" || (ruleContent === "*" && !FILE_TOOLS.has(toolName));
}

/** Formats a rule as options and settings contain it. */
function writtenRule(rule: Rule): string {
  const { toolName, ruleContent } = rule;
  if (ruleContent === undefined || saysNothing(rule)) return toolName;
  return `${toolName}(${ruleContent.replace(/[\\()]/g, "\\$&")})`;
}
