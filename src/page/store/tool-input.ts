import type { Json, JsonObject } from "../../wire/json.ts";

/** A part of a tool's input as people read it. */
export type InputPart =
  | {
      readonly kind: "diff";
      readonly path: string;
      readonly before: string;
      readonly after: string;
      readonly note?: string;
    }
  | { readonly kind: "command"; readonly command: string }
  | { readonly kind: "plan"; readonly plan: string }
  /** Whatever no other part shows. */
  | { readonly kind: "fields"; readonly fields: readonly InputField[] };

/** A field of a tool's input. */
export interface InputField {
  readonly name: string;
  readonly text: string;
}

/** Returns all of a tool's input in parts for people, the main one first. Unexpected input is shown by its fields. */
export function inputParts(tool: string, input: JsonObject): readonly InputPart[] {
  const main = mainPart(tool, input);
  const left = Object.entries(input).filter(([name]) => main === undefined || !main.shows.includes(name));
  const fields = left.map(([name, value]): InputField => ({ name, text: textOf(value) }));
  const rest: InputPart[] = fields.length === 0 ? [] : [{ kind: "fields", fields }];
  return main === undefined ? rest : [...main.parts, ...rest];
}

/** Returns the line that tells most of a tool's input: the command, the path, or the first text. */
export function inputBrief(tool: string, input: JsonObject): string {
  const { command, file_path: path, notebook_path: notebook, url, questions } = input;
  const known = [tool === "Bash" ? command : undefined, path, notebook, url];
  const first = [...known, ...Object.values(input)].find((value) => typeof value === "string");
  if (typeof first === "string") return first.split("\n")[0]?.slice(0, 200) ?? "";
  return Array.isArray(questions) ? "questions" : JSON.stringify(input).slice(0, 200);
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
  return { label: "Input, as JSON", text: JSON.stringify(input, null, 2), changed: parsedObject };
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
  readonly parts: readonly InputPart[];
  /** The fields that the parts show. */
  readonly shows: readonly string[];
}

function mainPart(tool: string, input: JsonObject): MainPart | undefined {
  const { file_path: path, command, plan } = input;
  if (tool === "Bash" && typeof command === "string") {
    return { parts: [{ kind: "command", command }], shows: ["command"] };
  }
  if (tool === "ExitPlanMode" && typeof plan === "string") return { parts: [{ kind: "plan", plan }], shows: ["plan"] };
  if (typeof path !== "string") return undefined;
  if (tool === "Write" && typeof input["content"] === "string") {
    const note = "The whole new content. A file of this path is replaced.";
    const part = { kind: "diff", path, before: "", after: input["content"], note } as const;
    return { parts: [part], shows: ["file_path", "content"] };
  }
  if (tool !== "Edit") return undefined;
  const part = editPart(path, input);
  return part && { parts: [part], shows: ["file_path", "old_string", "new_string", "replace_all"] };
}

function editPart(
  path: string,
  { old_string: before, new_string: after, replace_all: all }: JsonObject,
): InputPart | undefined {
  if (typeof before !== "string" || typeof after !== "string") return undefined;
  if (all !== undefined && typeof all !== "boolean") return undefined;
  return { kind: "diff", path, before, after, ...(all === true && { note: "Every occurrence in the file." }) };
}

function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
