import { describe, expect, it } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { command } from "../../src/session/options/command.ts";
import { promptText } from "../../src/session/options/prompt.ts";

const WHO = 'session "a"';

function refusal(prompt: unknown, verbatim = true): string {
  try {
    promptText(prompt, verbatim, WHO);
  } catch (error) {
    if (!CastellanError.is(error, "INVALID_OPTIONS")) throw error;
    expect(error.details.problems.map(({ field }) => field)).toEqual(["prompt"]);
    return error.message;
  }
  return "";
}

describe("promptText", () => {
  it.each(["Hello", " x ", "/clear", "/model opus", "@/etc/passwd", "日本", "x".repeat(1_000_000)])(
    "takes a string as text, whatever it looks like",
    (prompt) => {
      expect(promptText(prompt, true, WHO)).toEqual({ text: prompt, kind: "text" });
    },
  );

  it("takes a string as typed without `verbatim`", () => {
    expect(promptText("/clear", false, WHO)).toEqual({ text: "/clear", kind: "typed" });
    expect(promptText("Summarise @notes.md", false, WHO)).toEqual({ text: "Summarise @notes.md", kind: "typed" });
  });

  it("takes a command", () => {
    expect(promptText(command("compact"), true, WHO)).toEqual({ text: "/compact", kind: "command" });
    expect(promptText(command("/greet", "Ada\nand Bob"), false, WHO)).toEqual({
      text: "/greet Ada\nand Bob",
      kind: "command",
    });
    expect(promptText(command("greet", "  "), true, WHO).text).toBe("/greet");
  });

  it("rejects an object that looks like a command, as a page may send it", () => {
    const sent: unknown = JSON.parse(JSON.stringify({ ...command("compact"), name: "compact", command: "compact" }));
    expect(refusal(sent)).toContain("type object");
    expect(JSON.stringify(command("compact"))).toBe("{}");
  });

  it.each<[unknown, string]>([
    ["", "is empty"],
    [" \n\t", "is empty"],
    [undefined, "type undefined"],
    [null, "null"],
    [7, "type number"],
    [{ text: "hi" }, "type object"],
    [Promise.resolve("hi"), "type object"],
    ["x".repeat(20_000_001), "20000001 characters"],
    [command("greet", "x".repeat(20_000_001)), "20000008 characters"],
  ])("rejects an invalid prompt (%#)", (prompt, words) => {
    const message = refusal(prompt);
    expect(message).toContain(words);
    expect(message).toContain(WHO);
    expect(message.length).toBeLessThan(200);
  });

  it.each([
    ["model", "setModel()"],
    ["effort", "`effort`"],
    ["config", "`permissionMode`"],
    ["settings", "`permissionMode`"],
    ["autocompact", "`settings`"],
    ["output-style", "`outputStyle`"],
    ["fast", "`fastMode`"],
    ["mcp", "toggleMcpServer()"],
  ])("rejects the command /%s, which would bypass Castellan's controls", (name, instead) => {
    expect(refusal(command(name, "x"))).toContain(instead);
    expect(refusal(`/${name}`, false)).toContain(instead);
    expect(refusal(`/${name} x`, false)).toContain(instead);
    expect(refusal(`/${name}\nx`, false)).toContain(instead);
    // As text, or where Claude Code sees no command, it changes nothing.
    expect(refusal(`/${name} x`)).toBe("");
    expect(refusal(`see /${name}`, false)).toBe("");
    expect(refusal(`/${name}s x`, false)).toBe("");
  });
});

describe("promptText, of a command's arguments", () => {
  it.each([
    "@notes.md",
    "read @notes.md",
    "read\n@notes.md",
    "read\u2028@notes.md",
    "read。@notes.md",
    '@"my notes.md"',
    '""@notes.md',
    "''@notes.md",
    "'read @notes.md'",
    "\\@notes.md",
    "(@notes.md)",
    "x;@notes.md",
    "@agent-reviewer",
    "@server:resource://one",
    "$@notes.md",
  ])("rejects arguments that Claude Code would expand: %j", (args) => {
    expect(refusal(command("greet", args))).toContain("`verbatimPrompts: false`");
    expect(refusal(command("greet", args), false)).toBe("");
  });

  it.each([
    "ada@example.com",
    "a.b-c_d+e%@example.com",
    "5 @ 3",
    "@",
    "é@example.com",
    "＠x",
    "/model opus",
    "!`ls`",
    "",
  ])("accepts arguments without an expansion: %j", (args) => {
    expect(refusal(command("greet", args))).toBe("");
  });
});

describe("command()", () => {
  it.each([
    ["", "name"],
    ["/", "name"],
    ["a b", "name"],
    ["a\nb", "name"],
    ["//x", "name"],
    [" x", "name"],
  ])("rejects an invalid name: %j", (name, field) => {
    expect(fieldsOf(() => command(name))).toEqual([field]);
  });

  it("rejects a name or arguments that are not text", () => {
    expect(fieldsOf(() => command(7 as never))).toEqual(["name"]);
    expect(fieldsOf(() => command("x", 7 as never))).toEqual(["args"]);
  });
});

function fieldsOf(make: () => unknown): string[] {
  try {
    make();
  } catch (error) {
    if (CastellanError.is(error, "INVALID_OPTIONS")) return error.details.problems.map(({ field }) => field);
    throw error;
  }
  return [];
}
