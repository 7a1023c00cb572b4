import type { PermissionDestination, PermissionRule, PermissionUpdate } from "../../wire/permission-update.ts";

/** What a change of permissions means, in words. */
export interface SuggestionText {
  /** What the session may do, as a sentence without its end. */
  readonly what: string;
  /** Where it is kept, and for how long. */
  readonly where: string;
  /** Whether it allows much more than the tool use that is asked for. */
  readonly wide: boolean;
}

/** Explains a change of permissions. */
export function suggestionText(update: PermissionUpdate): SuggestionText {
  switch (update.type) {
    case "setMode":
      return { ...MODES[update.mode], where: PROCESS_WIDE[update.destination] };
    case "addDirectories":
    case "removeDirectories": {
      const what = update.type === "addDirectories" ? "Work in" : "No longer work in";
      return {
        what: `${what} ${update.directories.join(", ")}`,
        where: PROCESS_WIDE[update.destination],
        wide: update.type === "addDirectories" && update.directories.some(isEverything),
      };
    }
    default: {
      const { type, rules, behavior, destination } = update;
      const verb = type === "removeRules" ? `Forget the rule to ${BEHAVIOR[behavior]}` : VERB[behavior];
      const rest = type === "replaceRules" ? ", in place of all such rules" : "";
      return {
        what: `${verb} ${rules.map(ruleText).join(" and ")}${rest}`,
        where: KEPT[destination],
        wide:
          behavior === "allow" && type !== "removeRules" && rules.some(({ ruleContent }) => isEverything(ruleContent)),
      };
    }
  }
}

/** Whether a rule with this content, or a directory, leaves out nothing: `*`, `:*`, `//**`, `/`. */
function isEverything(content: string | undefined): boolean {
  return content === undefined || /^[\s:/*~]*$/.test(content);
}

const VERB = { allow: "Do not ask again for", deny: "Always deny", ask: "Always ask for" } as const;
const BEHAVIOR = { allow: "allow", deny: "deny", ask: "ask for" } as const;

/** Rules of `session` are granted in the conversation; those of files last as long as the files have them. */
const KEPT: Readonly<Record<PermissionDestination, string>> = {
  session: "for this session, until its conversation is cleared",
  cliArg: "for this session, until its process ends",
  localSettings:
    "in .claude/settings.local.json: for whoever works here with this project's local settings, until it is removed there",
  projectSettings:
    "in .claude/settings.json: for whoever works with this project's settings, until it is removed there",
  userSettings: "in ~/.claude/settings.json: for whatever runs with this user's settings, until it is removed there",
};

/** Claude Code writes no mode and no directory to local settings. */
const PROCESS_WIDE: Readonly<Record<PermissionDestination, string>> = { ...KEPT, localSettings: KEPT.cliArg };

const MODES: Readonly<
  Record<Extract<PermissionUpdate, { type: "setMode" }>["mode"], Pick<SuggestionText, "what" | "wide">>
> = {
  default: { what: "Ask as usual", wide: false },
  acceptEdits: { what: "Edit files in the working directories without asking", wide: false },
  bypassPermissions: { what: "Use every tool without asking", wide: true },
  plan: { what: "Only read and plan", wide: false },
  dontAsk: { what: "Deny instead of asking", wide: false },
  auto: { what: "Let Claude Code judge what needs no approval", wide: true },
};

function ruleText({ toolName, ruleContent }: PermissionRule): string {
  const mcp = /^mcp__(.+?)__(.+)$/.exec(toolName);
  if (ruleContent === undefined) {
    if (toolName === "Bash") return "any command";
    return mcp === null ? `any use of ${toolName}` : `any use of ${mcp[2]} of the MCP server ${mcp[1]}`;
  }
  if (toolName === "Bash") {
    const prefix = /^([^*]+)(?::| )\*$/.exec(ruleContent)?.[1];
    if (prefix !== undefined) return `commands that begin with ${prefix}`;
    return `${ruleContent.includes("*") ? "commands that match" : "the command"} ${ruleContent}`;
  }
  if (toolName === "WebFetch" && ruleContent.startsWith("domain:")) return `pages of ${ruleContent.slice(7)}`;
  if (["Read", "Edit", "Write"].includes(toolName)) {
    return `${toolName === "Read" ? "reading" : "changing"} files that match ${ruleContent}`;
  }
  return `${toolName} with ${ruleContent}`;
}
