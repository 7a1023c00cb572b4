import type { PermissionMode, PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import { permissionModeSchema } from "../../claude/permission-mode.ts";
import type { StandingPermissions } from "../../claude/standing-permissions.ts";
import { withoutUndefined } from "../../fields.ts";

/**
 * What a session may do besides what its options say, and what it may not: the mode that it has come to be in, and the rules and
 * directories that were approved for it. It belongs to the conversation: each process that goes on with that is given it.
 */
export interface Granted extends StandingPermissions {
  readonly mode?: GrantedMode | undefined;
}

interface GrantedMode {
  readonly now: PermissionMode;
  /** The mode from which it entered plan mode, if it is in that, and to which an approved plan leads back. */
  readonly back?: PermissionMode | undefined;
  /** The session's option when it came to be in it. */
  readonly option?: PermissionMode | undefined;
}

export type GrantedEvent =
  /** The process has gone from one mode to another; `from` is not known of a process that has not said anything. */
  | {
      readonly type: "mode";
      readonly now: PermissionMode;
      readonly from: PermissionMode | undefined;
      readonly option: PermissionMode | undefined;
    }
  /** An answer to a question for permission grants this besides. */
  | { readonly type: "approved"; readonly updates: readonly PermissionUpdate[] }
  /** The session's option is this one now. */
  | { readonly type: "configured"; readonly option: PermissionMode | undefined }
  /** All of it is taken back. */
  | { readonly type: "revoked" };

export const NOTHING_GRANTED: Granted = { allow: [], deny: [], ask: [], directories: [] };

/**
 * Of rules that allow, and of directories, the oldest give way to the next ones; then it is asked again. They are written with each turn,
 * and a hook may grant one with each tool.
 */
const MOST_GRANTED = 1_000;

const textsSchema = z.array(z.string());

/** As the journal keeps it. */
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

/** What is for files Claude Code writes there, and a process that reads them has it from there. */
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

/** What is granted after `event`; the same object if that changes nothing. */
export function nextGranted(granted: Granted, event: GrantedEvent): Granted {
  switch (event.type) {
    case "mode":
      return withMode(granted, modeAfter(granted.mode, event));
    case "approved": {
      // Claude Code takes nothing of a list in which it does not understand something.
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

/** Whether something that was held before is held no longer, which a process that was given it has to be told. */
export function hasLess(before: Granted, after: Granted): boolean {
  const lacks = (list: readonly string[], other: readonly string[]): boolean =>
    list.some((one) => !other.includes(one));
  return (["allow", "deny", "ask", "directories"] as const).some((list) => lacks(before[list], after[list]));
}

function modeAfter(
  before: GrantedMode | undefined,
  { now, from, option }: GrantedEvent & { readonly type: "mode" },
): GrantedMode | undefined {
  const back = now !== "plan" ? undefined : from === "plan" ? before?.back : from;
  // As it would be without a word.
  if (now === option && (back ?? "default") === "default") return undefined;
  return withoutUndefined({ now, back, option });
}

function withMode(granted: Granted, mode: GrantedMode | undefined): Granted {
  const { mode: before, ...rest } = granted;
  if (before?.now === mode?.now && before?.back === mode?.back && before?.option === mode?.option) return granted;
  return mode === undefined ? rest : { ...rest, mode };
}

/** The mode is the process's to tell; it does not take each one that it is given. */
function afterUpdate(granted: Granted, update: Update): Granted {
  if (update.type === "setMode" || (update.destination !== "session" && update.destination !== "cliArg"))
    return granted;
  if ("directories" in update) {
    return withList(granted, "directories", update.type === "addDirectories" ? "add" : "remove", update.directories);
  }
  const how = ({ addRules: "add", replaceRules: "replace", removeRules: "remove" } as const)[update.type];
  // Claude Code takes none of rules of which one says something, and yet would allow everything.
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

/** Tools whose rules are patterns of paths, in which a star is one file name. */
const FILE_TOOLS: ReadonlySet<string> = new Set(["Read", "Write", "Edit", "NotebookEdit", "Glob", "Grep"]);

/** Whether a rule has a content that is the same as none. */
function saysNothing({ toolName, ruleContent }: Rule): boolean {
  return ruleContent === "" || (ruleContent === "*" && !FILE_TOOLS.has(toolName));
}

/** A rule as it stands in options and settings. */
function writtenRule(rule: Rule): string {
  const { toolName, ruleContent } = rule;
  if (ruleContent === undefined || saysNothing(rule)) return toolName;
  return `${toolName}(${ruleContent.replace(/[\\()]/g, "\\$&")})`;
}
