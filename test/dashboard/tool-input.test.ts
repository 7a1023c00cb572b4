import { describe, expect, test } from "vitest";
import { editableInput, type InputPart, toolInputOf } from "../../src/page/store/tool-input.ts";
import type { Json } from "../../src/wire/json.ts";

const STORED = { $content: "h", size: 1, mediaType: "text/plain" };

const fields = (input: object): InputPart => ({ kind: "fields", fields: Object.entries(input) });
const edits = (path: string | undefined, ...all: [before: string, after: string, note?: string][]): InputPart => ({
  kind: "edits",
  path,
  edits: all.map(([before, after, note]) => ({ before, after, note })),
});
const NEW_FILE = "The whole new content. A file of this path is replaced.";

describe("the input of a tool", () => {
  test.each<[tool: string, input: Json, brief: string, ...parts: InputPart[]]>([
    ["Edit", { file_path: "/a", old_string: "x", new_string: "y" }, "/a", edits("/a", ["x", "y"])],
    [
      "Edit",
      { old_string: "x", new_string: "y", replace_all: true, file_path: "/a" },
      "/a",
      edits("/a", ["x", "y", "Every occurrence in the file."]),
    ],
    ["Edit", { old_string: "x", new_string: "y", other: 1 }, "x", edits(undefined, ["x", "y"]), fields({ other: 1 })],
    [
      "MultiEdit",
      {
        file_path: "a",
        edits: [
          { old_string: "x", new_string: "" },
          { old_string: "", new_string: "y", replace_all: true },
        ],
      },
      "a",
      edits("a", ["x", ""], ["", "y", "Every occurrence in the file."]),
    ],
    ["Write", { file_path: "a", content: "x" }, "a", edits("a", ["", "x", NEW_FILE])],
    [
      "NotebookEdit",
      { notebook_path: "a", new_source: "x", edit_mode: "insert" },
      "a",
      edits("a", ["", "x", "The new content of a cell."]),
      fields({ edit_mode: "insert" }),
    ],
    [
      "Bash",
      { command: "ls -l\nrm x", description: "d", dangerouslyDisableSandbox: true },
      "ls -l",
      { kind: "command", command: "ls -l\nrm x" },
      fields({ description: "d", dangerouslyDisableSandbox: true }),
    ],
    [
      "TodoWrite",
      { todos: [{ content: "x", status: "pending", activeForm: "x-ing" }] },
      '[{"content":"x","status":"pending","activeForm":"x-ing"}]',
      { kind: "todos", todos: [{ content: "x", status: "pending", activeForm: "x-ing" }] },
    ],
    [
      "ExitPlanMode",
      { plan: "p", planFilePath: "/p" },
      "p",
      { kind: "words", name: "plan", text: "p" },
      fields({ planFilePath: "/p" }),
    ],
    [
      "Task",
      { description: "d", prompt: "**p**" },
      "d",
      { kind: "words", name: "prompt", text: "**p**" },
      fields({ description: "d" }),
    ],
    ["Agent", { prompt: STORED }, "", { kind: "words", name: "prompt", text: STORED }],
    ["Read", { file_path: "a", limit: 3 }, "a", fields({ file_path: "a", limit: 3 })],
    ["Read", {}, ""],
    ["Other", { a: 1 }, "1", fields({ a: 1 })],
    ["Other", { n: 1, s: "x" }, "x", fields({ n: 1, s: "x" })],
    ["AskUserQuestion", { questions: [] }, "questions", fields({ questions: [] })],
  ])("%s %j", (tool, input, brief, ...parts) => {
    expect(toolInputOf(tool, input)).toEqual({ label: tool, brief, parts });
  });

  test.each<[string, Record<string, Json>]>([
    ["Bash", { command: ["ls"] }],
    ["Edit", { old_string: 1 }],
    ["Edit", { file_path: "/a", old_string: "x" }],
    ["Edit", { file_path: "/a", old_string: "x", new_string: "y", replace_all: "false" }],
    ["Write", { file_path: 1, content: "x" }],
    ["Write", { file_path: "/a", content: STORED }],
    ["MultiEdit", { edits: [null] }],
    ["MultiEdit", { file_path: "/a", edits: [{ old_string: "x", new_string: "y", other: 1 }] }],
    ["TodoWrite", { todos: [1] }],
    ["TodoWrite", { todos: [{ content: "x", status: "pending", other: "y" }] }],
    ["ExitPlanMode", {}],
    ["constructor", { a: "x" }],
  ])("unexpected input of %s is shown by its fields: %j", (tool, input) => {
    expect(toolInputOf(tool, input).parts).toEqual(Object.keys(input).length === 0 ? [] : [fields(input)]);
  });

  test.each<[Json, brief: string]>([
    [[1], "[1]"],
    [null, "null"],
    ["x\ny", "x"],
    [STORED, ""],
  ])("that is no object is one field: %j", (input, brief) => {
    expect(toolInputOf("Bash", input)).toEqual({ label: "Bash", brief, parts: [fields({ input })] });
  });

  test("has the server of a tool, and a brief of one line", () => {
    expect(toolInputOf("mcp__files__read_all", {}).label).toBe("files: read_all");
    expect(toolInputOf("Bash", { command: "x".repeat(900) }).brief).toHaveLength(160);
  });

  test("can be changed by its main text, or else as JSON", () => {
    const write = editableInput("Write", { file_path: "/a", content: "x" });
    expect(write.changed("y")).toEqual({ file_path: "/a", content: "y" });
    const whole = editableInput("Write", { file_path: "/a" });
    expect([whole.label, whole.changed(whole.text)]).toEqual(["Input, as JSON", { file_path: "/a" }]);
    expect(() => whole.changed("[]")).toThrow("It must be a JSON object.");
  });
});
