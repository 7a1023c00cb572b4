import { join, resolve } from "node:path";
import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import type { FakeArguments } from "./fake-arguments.ts";
import { isObject, listOf, objectOf, stringOf, type WireObject } from "./fake-wire.ts";

/** What becomes of a tool without a word of the host, or that the host is to be asked. */
export type FakeVerdict = "allowed" | "denied" | "denied by the mode" | "ask";

type Behavior = "allow" | "deny" | "ask";

/** Rules of one source, as the options write them, and the directories that go with them. */
interface Source {
  readonly allow: string[];
  readonly deny: string[];
  readonly ask: string[];
  readonly directories: string[];
}

const EDIT_TOOLS: ReadonlySet<string> = new Set(["Write", "Edit", "NotebookEdit"]);

/**
 * What a Claude Code permits: its mode, and rules from the command line, from settings that a host has sent, and of its own process. A rule
 * fits a tool by its name, and a command of Bash by the whole of it or by `prefix:*`; patterns of paths fit nothing here.
 */
export class FakePermissions {
  readonly #tellMode: (mode: string) => void;
  readonly #cwd: string;
  readonly #commandLine: Source;
  readonly #session: Source = none();
  #sent: Source = none();
  #mode: string;
  /** The mode before plan mode, if that was entered here. */
  #before: string | undefined;

  /** `tellMode` is called when the mode has changed. */
  constructor(args: FakeArguments, cwd: string, tellMode: (mode: string) => void) {
    this.#tellMode = tellMode;
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

  /** The host wants this mode, or the model has asked for plan mode. */
  enter(mode: string): void {
    this.#before = mode !== "plan" ? undefined : this.#mode === "plan" ? this.#before : this.#mode;
    this.#change(mode);
  }

  /** A plan was approved. */
  leavePlan(): void {
    if (this.#mode === "plan") this.enter(this.#before ?? "default");
  }

  /** Takes settings that a host sends, in the place of those of the same name that it sent before. */
  sent(settings: WireObject): void {
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

  /** Takes what an answer grants besides. What is for files is written there, and not read by a session without settings. */
  update(updates: unknown): void {
    for (const update of Array.isArray(updates) ? updates.filter(isObject) : []) {
      const source = { session: this.#session, cliArg: this.#commandLine }[stringOf(update, "destination") ?? ""];
      const directories = listOf(update, "directories").map(String);
      const list = source?.[(stringOf(update, "behavior") ?? "allow") as Behavior] ?? [];
      const rules = listOf(update, "rules").filter(isObject).map(written);
      switch (update["type"]) {
        case "setMode":
          // Unlike `enter`, this does not remember the mode before.
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

  /** In the order of the real one: what is forbidden, what is to be asked, what the mode allows, what rules allow. */
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

  /** What would spare the question the next time: for a command a rule, for a file of settings, as the real one suggests it; else nothing. */
  suggestions(tool: string, input: WireObject): PermissionUpdate[] {
    const ruleContent = stringOf(input, "command");
    if (tool !== "Bash" || ruleContent === undefined) return [];
    const rules = [{ toolName: tool, ruleContent }];
    return [{ type: "addRules", rules, behavior: "allow", destination: "localSettings" }];
  }

  /** Whether it is a file in the working directory, or in those that have been added. */
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
    this.#tellMode(mode);
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
