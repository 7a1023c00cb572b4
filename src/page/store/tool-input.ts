import type { Json, JsonObject } from "../../wire/json.ts";
import { isStored } from "./content-parts.ts";

/** A tool and its input, as people read them. */
export interface ToolInput {
  /** `Bash`, or `server: tool` of an MCP server. */
  readonly label: string;
  /** The line that tells most: the command, the path, or the first text. */
  readonly brief: string;
  /** All of the input, the main part first. */
  readonly parts: readonly InputPart[];
}

/** A part of a tool's input. */
export type InputPart =
  | { readonly kind: "edits"; readonly path: string | undefined; readonly edits: readonly TextEdit[] }
  | { readonly kind: "command"; readonly command: string }
  /** A plan or a prompt, which may be stored apart. */
  | { readonly kind: "words"; readonly name: string; readonly text: Json }
  | { readonly kind: "todos"; readonly todos: readonly Todo[] }
  /** Whatever no other part shows. */
  | { readonly kind: "fields"; readonly fields: readonly (readonly [name: string, value: Json])[] };

/** A text in a file that another one replaces. */
export interface TextEdit {
  readonly before: string;
  readonly after: string;
  readonly note?: string | undefined;
}

/** A step of a list that Claude keeps. */
export interface Todo {
  readonly content: string;
  readonly status: string;
  /** The step while it is done: `Running tests`. */
  readonly activeForm?: string | undefined;
}

type Input = { readonly [name: string]: Json };

const LONGEST_BRIEF = 160;

/** Returns the use of a tool for people. Unexpected input is shown by its fields. */
export function toolInputOf(tool: string, given: Json): ToolInput {
  const [, server, ofServer] = /^mcp__(.+?)__(.+)$/.exec(tool) ?? [];
  const label = server === undefined ? tool : `${server}: ${ofServer}`;
  const isObject = typeof given === "object" && given !== null && !Array.isArray(given) && !isStored(given);
  const input: Input = isObject ? (given as Input) : { input: given };
  const main = Object.hasOwn(MAIN, tool) ? MAIN[tool]?.(input) : undefined;
  const fields = Object.entries(input).filter(([name]) => main?.shows.includes(name) !== true);
  const rest: readonly InputPart[] = fields.length === 0 ? [] : [{ kind: "fields", fields }];
  return { label, brief: briefOf(input), parts: main === undefined ? rest : [main.part, ...rest] };
}

/** Returns a value of an input as text. */
export function inputText(value: Json | undefined): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** The part of an input that somebody changes before allowing it. */
export interface EditableInput {
  readonly label: string;
  readonly text: string;
  /** Returns the input with the changed text. @throws Error if the text does not fit */
  readonly changed: (text: string) => JsonObject;
}

/** Returns what somebody may change of an input: its main text, or all of it as JSON. */
export function editableInput(tool: string, input: JsonObject): EditableInput {
  const [field, label] = EDITABLE[tool] ?? [];
  const value = field === undefined ? undefined : input[field];
  if (field !== undefined && label !== undefined && typeof value === "string") {
    return { label, text: value, changed: (text) => ({ ...input, [field]: text }) };
  }
  return { label: "Input, as JSON", text: inputText(input), changed: parsedObject };
}

const EDITABLE: Readonly<Record<string, readonly [field: string, label: string]>> = {
  Bash: ["command", "Command"],
  Write: ["content", "Content of the file"],
  Edit: ["new_string", "New text"],
};

function parsedObject(text: string): JsonObject {
  const value = JSON.parse(text) as Json;
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("It must be a JSON object.");
  return value as JsonObject;
}

interface MainPart {
  readonly part: InputPart;
  /** The fields of which the part shows all. */
  readonly shows: readonly string[];
}

const MAIN: Readonly<Record<string, (input: Input) => MainPart | undefined>> = {
  Bash: ({ command }) =>
    typeof command === "string" ? { part: { kind: "command", command }, shows: ["command"] } : undefined,
  Edit: (input) => edits(input["file_path"], [editOf(input)], ["file_path", ...EDIT_FIELDS]),
  MultiEdit: ({ file_path: path, edits: all }) =>
    Array.isArray(all) ? edits(path, all.map(wholeEdit), ["file_path", "edits"]) : undefined,
  Write: ({ file_path: path, content }) =>
    edits(
      path,
      [created(content, "The whole new content. A file of this path is replaced.")],
      ["file_path", "content"],
    ),
  NotebookEdit: ({ notebook_path: path, new_source: source }) =>
    edits(path, [created(source, "The new content of a cell.")], ["notebook_path", "new_source"]),
  TodoWrite: ({ todos }) =>
    Array.isArray(todos) && todos.every(isTodo) ? { part: { kind: "todos", todos }, shows: ["todos"] } : undefined,
  ExitPlanMode: (input) => words(input, "plan"),
  Task: (input) => words(input, "prompt"),
  Agent: (input) => words(input, "prompt"),
};

const EDIT_FIELDS = ["old_string", "new_string", "replace_all"];

function editOf({ old_string: before, new_string: after, replace_all: all }: Input): TextEdit | undefined {
  if (typeof before !== "string" || typeof after !== "string") return undefined;
  if (all !== undefined && typeof all !== "boolean") return undefined;
  return { before, after, note: all === true ? "Every occurrence in the file." : undefined };
}

/** Returns an edit of a list. It has no other fields: nobody would see those. */
function wholeEdit(value: Json): TextEdit | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.keys(value).every((name) => EDIT_FIELDS.includes(name)) ? editOf(value as Input) : undefined;
}

function created(after: Json | undefined, note: string): TextEdit | undefined {
  return typeof after === "string" ? { before: "", after, note } : undefined;
}

function isTodo(value: Json): value is JsonObject & Todo {
  if (typeof value !== "object" || value === null) return false;
  const { content, status, ...others } = value as Input;
  return (
    [content, status, ...Object.values(others)].every((text) => typeof text === "string") &&
    Object.keys(others).every((name) => name === "activeForm")
  );
}

function edits(
  path: Json | undefined,
  given: readonly (TextEdit | undefined)[],
  shows: readonly string[],
): MainPart | undefined {
  const known = given.filter((edit) => edit !== undefined);
  if (known.length !== given.length || (path !== undefined && typeof path !== "string")) return undefined;
  return { part: { kind: "edits", path, edits: known }, shows };
}

function words(input: Input, name: string): MainPart | undefined {
  const text = input[name];
  return typeof text === "string" || isStored(text)
    ? { part: { kind: "words", name, text }, shows: [name] }
    : undefined;
}

/** The fields that say most, the first of which an input has. */
const TELLING = ["command", "file_path", "notebook_path", "pattern", "path", "description", "url", "query", "prompt"];

function briefOf(input: Input): string {
  const names = [...TELLING, ...Object.keys(input)];
  const name = names.find((one) => typeof input[one] === "string") ?? Object.keys(input)[0];
  if (name === undefined || isStored(input[name])) return "";
  if (name === "questions") return name;
  const value = input[name] ?? null;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return (text.trim().split("\n", 1)[0] ?? "").slice(0, LONGEST_BRIEF);
}
