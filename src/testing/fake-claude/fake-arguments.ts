import { withoutUndefined } from "../../fields.ts";

/** The command line options of Claude Code that the fake supports. */
export interface FakeArguments {
  readonly sessionId?: string;
  readonly resume?: string;
  readonly resumeSessionAt?: string;
  readonly forkSession: boolean;
  readonly continueLast: boolean;
  readonly persist: boolean;
  readonly partialMessages: boolean;
  readonly askHost: boolean;
  readonly model: string;
  readonly permissionMode: string;
  readonly allowedTools: readonly string[];
  readonly disallowedTools: readonly string[];
  /** The directories besides the working directory. */
  readonly directories: readonly string[];
}

/** Parses a command line of the SDK: `--name`, `--name=value` and `--name value`. */
export function parseArguments(args: readonly string[]): FakeArguments {
  const value = (name: string): string | undefined => {
    const index = args.findIndex((arg) => arg === name || arg.startsWith(`${name}=`));
    const found = args[index];
    if (found === undefined) return undefined;
    return found === name ? args[index + 1] : found.slice(name.length + 1);
  };
  const sessionId = value("--session-id");
  const resume = value("--resume");
  const resumeSessionAt = value("--resume-session-at");
  return {
    ...withoutUndefined({ sessionId, resume, resumeSessionAt }),
    forkSession: args.includes("--fork-session"),
    continueLast: args.includes("--continue"),
    persist: !args.includes("--no-session-persistence"),
    partialMessages: args.includes("--include-partial-messages"),
    askHost: value("--permission-prompt-tool") === "stdio",
    model: value("--model") ?? "claude-opus-5-5",
    permissionMode: value("--permission-mode") ?? "default",
    allowedTools: value("--allowedTools")?.split(",") ?? [],
    disallowedTools: value("--disallowedTools")?.split(",") ?? [],
    directories: args.filter((_, at) => args[at - 1] === "--add-dir"),
  };
}
