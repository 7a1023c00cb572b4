import { join, resolve } from "node:path";
import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import type { FakeArguments } from "./fake-arguments.ts";
import { isObject, listOf, objectOf, stringOf, type WireObject } from "./fake-wire.ts";

/** The permission of a tool by mode and rules, or `ask` if host and hooks decide. */
export type FakeVerdict = "allowed" | "denied" | "denied by the mode" | "ask";

type Behavior = "allow" | "deny" | "ask";

/** The rules and directories of one source. */
interface Source {
  readonly allow: string[];
  readonly deny: string[];
  readonly ask: string[];
  readonly directories: string[];
}

const EDIT_TOOLS: ReadonlySet<string> = new Set(["Write", "Edit", "NotebookEdit"]);

/**
 * The permissions of a process: its mode, and rules from the command line, from settings that the host has sent, and of the session. A rule
 * matches a tool by its name, and a Bash command by the whole command or by `prefix:*`. Path patterns match nothing here.
 */
export class FakePermissions {
  readonly #reportMode: (mode: string) => void;
  readonly #cwd: string;
  readonly #commandLine: Source;
  readonly #session: Source = none();
  #sent: Source = none();
  #mode: string;
  /** The mode to return to from plan mode, if the process has entered plan mode. */
  #before: string | undefined;

  /** `reportMode` is called when the mode changes. */
  constructor(args: FakeArguments, cwd: string, reportMode: (mode: string) => void) {
    this.#reportMode = reportMode;
    this.#cwd = cwd;
    this.#mode = args.permissionMode;
    this.#commandLine = {
      allow: [...args.allowedTools],
      deny: [...args.disallowedTools],
      ask: [],
      directories: [...args.directories],
    };
  }

  get mode(): string {
    return this.#mode;
  }

  get directories(): readonly string[] {
    return this.#sources.flatMap(({ directories }) => directories);
  }

  /** Enters a mode that the host sets, or plan mode for the model. */
  enter(mode: string): void {
    this.#before = mode !== "plan" ? undefined : this.#mode === "plan" ? this.#before : this.#mode;
    this.#change(mode);
  }

  /** Leaves plan mode after the approval of a plan. */
  leavePlan(): void {
    if (this.#mode === "plan") this.enter(this.#before ?? "default");
  }

  /** Applies settings that the host sends. They replace settings of the same name that it sent before. */
  applySettings(settings: WireObject): void {
    if (settings["permissions"] === undefined) return;
    const permissions = objectOf(settings, "permissions");
    const texts = (field: string): string[] => listOf(permissions, field).filter((one) => typeof one === "string");
    this.#sent = {
      allow: texts("allow"),
      deny: texts("deny"),
      ask: texts("ask"),
      directories: texts("additionalDirectories"),
    };
  }

  /** Applies the permission updates of an answer, except those for settings files, which the session does not read. */
  update(updates: unknown): void {
    for (const update of Array.isArray(updates) ? updates.filter(isObject) : []) {
      const source = { session: this.#session, cliArg: this.#commandLine }[stringOf(update, "destination") ?? ""];
      const directories = listOf(update, "directories").map(String);
      const list = source?.[(stringOf(update, "behavior") ?? "allow") as Behavior] ?? [];
      const rules = listOf(update, "rules").filter(isObject).map(written);
      switch (update["type"]) {
        case "setMode":
          // Unlike `enter`, this does not remember the previous mode.
          this.#before = undefined;
          this.#change(stringOf(update, "mode") ?? this.#mode);
          break;
        case "addRules":
          list.push(...rules);
          break;
        case "replaceRules":
          list.splice(0, list.length, ...rules);
          break;
        case "removeRules":
          remove(list, rules);
          break;
        case "addDirectories":
          source?.directories.push(...directories);
          break;
        case "removeDirectories":
          if (source !== undefined) remove(source.directories, directories);
          break;
      }
    }
  }

  /** Checks in the order of the real process: deny rules, ask rules, mode, allow rules. */
  verdict(tool: string, input: WireObject): FakeVerdict {
    const fits = (behavior: Behavior): boolean =>
      this.#sources.some((source) => source[behavior].some((rule) => ruleFits(rule, tool, input)));
    if (fits("deny")) return "denied";
    if (tool === "EnterPlanMode") return "allowed";
    if (fits("ask") || tool === "ExitPlanMode") return "ask";
    if (this.#mode === "bypassPermissions") return "allowed";
    if (this.#mode === "acceptEdits" && EDIT_TOOLS.has(tool) && this.#isWithin(input)) return "allowed";
    if (fits("allow")) return "allowed";
    return this.#mode === "dontAsk" ? "denied by the mode" : "ask";
  }

  /** The suggested updates, as of the real process: for a Bash command a rule for local settings, otherwise none. */
  suggestions(tool: string, input: WireObject): PermissionUpdate[] {
    const ruleContent = stringOf(input, "command");
    if (tool !== "Bash" || ruleContent === undefined) return [];
    const rules = [{ toolName: tool, ruleContent }];
    return [{ type: "addRules", rules, behavior: "allow", destination: "localSettings" }];
  }

  /** Whether the file is in the working directory or an added directory. */
  #isWithin(input: WireObject): boolean {
    const path = resolve(this.#cwd, stringOf(input, "file_path") ?? "");
    return [this.#cwd, ...this.directories].some((directory) =>
      path.startsWith(join(resolve(this.#cwd, directory), "/")),
    );
  }

  get #sources(): readonly Source[] {
    return [this.#commandLine, this.#sent, this.#session];
  }

  #change(mode: string): void {
    if (mode === this.#mode) return;
    this.#mode = mode;
    this.#reportMode(mode);
  }
}

function none(): Source {
  return { allow: [], deny: [], ask: [], directories: [] };
}

function remove(list: string[], texts: readonly string[]): void {
  list.splice(0, list.length, ...list.filter((text) => !texts.includes(text)));
}

function written(rule: WireObject): string {
  const [tool, content] = [stringOf(rule, "toolName") ?? "", stringOf(rule, "ruleContent")];
  return content === undefined ? tool : `${tool}(${content.replace(/[\\()]/g, "\\$&")})`;
}

function ruleFits(rule: string, tool: string, input: WireObject): boolean {
  if (rule === tool) return true;
  if (tool !== "Bash" || !rule.startsWith("Bash(") || !rule.endsWith(")")) return false;
  const content = rule.slice("Bash(".length, -1).replace(/\\([\\()])/g, "$1");
  const command = stringOf(input, "command") ?? "";
  return content.endsWith(":*") ? command.startsWith(content.slice(0, -2)) : command === content;
}
