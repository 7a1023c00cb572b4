import type { EventText } from "../../wire/event-types.ts";
import type { Json } from "../../wire/json.ts";
import { isStored } from "./content-parts.ts";

/** How the input of a tool is shown. */
export type ToolBody =
  | { readonly kind: "edits"; readonly edits: readonly { readonly before: string; readonly after: string }[] }
  | { readonly kind: "command"; readonly command: string }
  | { readonly kind: "todos"; readonly todos: readonly Todo[] }
  | { readonly kind: "facts"; readonly facts: readonly (readonly [name: string, value: string])[] }
  | { readonly kind: "task"; readonly prompt: EventText }
  | { readonly kind: "json"; readonly value: Json };

/** A step of a list that Claude keeps. */
export interface Todo {
  readonly text: string;
  readonly status: string;
}

/** A tool and its input, as people read them. */
export interface ToolView {
  /** `Bash`, or `server: tool` of an MCP server. */
  readonly label: string;
  /** The path, the command, or the first words of the input. */
  readonly brief: string;
  readonly body: ToolBody;
}

type Input = { readonly [name: string]: Json };

const LONGEST_BRIEF = 160;

/** Returns how to show the use of a tool. An unusual input is shown as JSON. */
export function toolViewOf(name: string, given: Json): ToolView {
  const [, server, tool] = /^mcp__(.+?)__(.+)$/.exec(name) ?? [];
  const label = server === undefined ? name : `${server}: ${tool}`;
  const isObject = typeof given === "object" && given !== null && !Array.isArray(given) && !isStored(given);
  const input: Input = isObject ? (given as Input) : {};
  const body = (Object.hasOwn(BODIES, name) ? BODIES[name]?.(input) : undefined) ?? { kind: "json", value: given };
  return { label, brief: briefOf(isObject ? input : { input: given }).slice(0, LONGEST_BRIEF), body };
}

const BODIES: Readonly<Record<string, (input: Input) => ToolBody | undefined>> = {
  Edit: ({ old_string: before, new_string: after }) => edits([{ before, after }]),
  MultiEdit: ({ edits: all }) => {
    if (!Array.isArray(all)) return undefined;
    return edits(
      all.map((one) => {
        const { old_string: before, new_string: after } = (one ?? {}) as Input;
        return { before, after };
      }),
    );
  },
  Write: ({ content }) => edits([{ before: "", after: content }]),
  NotebookEdit: ({ new_source: after }) => edits([{ before: "", after }]),
  Bash: ({ command }) => (typeof command === "string" ? { kind: "command", command } : undefined),
  TodoWrite: ({ todos }) => {
    if (!Array.isArray(todos)) return undefined;
    const known = todos.flatMap((todo) => {
      const { content, status } = (todo ?? {}) as Input;
      return typeof content === "string" && typeof status === "string" ? [{ text: content, status }] : [];
    });
    return known.length === todos.length ? { kind: "todos", todos: known } : undefined;
  },
  Read: facts,
  Grep: facts,
  Glob: facts,
  LS: facts,
  WebFetch: facts,
  WebSearch: facts,
  Task: task,
  Agent: task,
};

function edits(given: readonly { before?: Json | undefined; after?: Json | undefined }[]): ToolBody | undefined {
  const texts = given.flatMap(({ before, after }) =>
    typeof before === "string" && typeof after === "string" ? [{ before, after }] : [],
  );
  return texts.length === given.length ? { kind: "edits", edits: texts } : undefined;
}

function facts(input: Input): ToolBody | undefined {
  const all = Object.entries(input).map(
    ([name, value]) => [name.replaceAll("_", " "), typeof value === "string" ? value : JSON.stringify(value)] as const,
  );
  return all.some(([, value]) => value.length > 1_000) ? undefined : { kind: "facts", facts: all };
}

function task({ prompt }: Input): ToolBody | undefined {
  if (typeof prompt === "string") return { kind: "task", prompt };
  return isStored(prompt) ? { kind: "task", prompt } : undefined;
}

/** The fields that say most, the first of which an input has. */
const TELLING = ["command", "file_path", "notebook_path", "pattern", "path", "description", "url", "query", "prompt"];

function briefOf(input: Input): string {
  const name = TELLING.find((one) => typeof input[one] === "string") ?? Object.keys(input)[0];
  const value = name === undefined ? "" : (input[name] ?? null);
  const text = typeof value === "string" ? value : isStored(value) ? "" : (JSON.stringify(value) ?? "");
  return text.trim().split("\n", 1)[0] ?? "";
}
