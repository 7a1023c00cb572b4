import { describe, expect, it } from "vitest";
import { completionScript } from "../../src/cli/terminal/completion-script.ts";
import { exitCodeOf } from "../../src/cli/terminal/exit-code.ts";
import { PendingApprovals } from "../../src/cli/terminal/pending-approvals.ts";
import { table } from "../../src/cli/terminal/table.ts";
import { cut, dollars, oneLine, shortBytes, shortDuration, widthOf } from "../../src/cli/terminal/text.ts";
import { TextBlocks } from "../../src/cli/terminal/text-blocks.ts";
import { type Approval, CastellanApiError } from "../../src/client/index.ts";

const COLUMNS = [
  { head: "NAME", least: 4 },
  { head: "N", align: "right" as const },
  { head: "TEXT", least: 6 },
];

describe("table", () => {
  it("aligns columns, and cuts the widest ones to the terminal", () => {
    const rows = [
      ["a", "1", "short"],
      ["long-name", "200", "a much longer text than fits"],
    ];
    expect(table(COLUMNS, rows, undefined)).toBe(
      ["NAME         N  TEXT", "a            1  short", "long-name  200  a much longer text than fits"].join("\n"),
    );
    const narrow = table(COLUMNS, rows, 26);
    expect(narrow).toBe(["NAME         N  TEXT", "a            1  short", "long-name  200  a much lo…"].join("\n"));
    for (const line of table(COLUMNS, rows, 17).split("\n")) expect(widthOf(line)).toBeLessThanOrEqual(17);
  });

  it("shows untrusted text on one line, without control characters, in as many columns as a terminal takes", () => {
    const drawn = table(COLUMNS, [["名前", "1", "a\u001b[31m\nb\u202e"]], undefined);
    expect(drawn.split("\n")).toEqual(["NAME  N  TEXT", "名前  1  a\\u001b[31m b\\u202e"]);
  });
});

describe("text", () => {
  it("measures and cuts by columns", () => {
    expect([widthOf("abc"), widthOf("名前"), widthOf("e\u0301"), widthOf("🚀")]).toEqual([3, 4, 1, 2]);
    expect([cut("abcdef", 6), cut("abcdef", 5), cut("名前名前", 5)]).toEqual(["abcdef", "abcd…", "名前…"]);
    expect(oneLine("  a\n\tb ")).toBe("a b");
  });

  it("formats quantities for people", () => {
    expect([0, 850, 61_000, 7_200_000, 90_000_000].map(shortDuration)).toEqual(["0ms", "850ms", "1m", "2h", "1d"]);
    expect([5, 1_500, 412_000_000].map(shortBytes)).toEqual(["5B", "1.5kB", "412MB"]);
    expect([0, 0.000123, 1.5].map(dollars)).toEqual(["$0.00", "$0.00012", "$1.50"]);
  });
});

describe("TextBlocks", () => {
  const delta = (text: string) => ({ type: "text_delta", at: 0, after: 0, text, block: "b" }) as const;
  const whole = (text: string) => ({ type: "text", v: 1, number: 1, at: 0, text, block: "b" }) as const;

  it("adds what the deltas lack of a block, and begins anew where its beginning was missed", () => {
    const blocks = new TextBlocks();
    expect([delta("Hel"), delta("lo"), whole("Hello!")].map((event) => blocks.take(event))).toEqual([
      "Hel",
      "lo",
      "!\n",
    ]);
    expect([delta("lo"), whole("Hello!")].map((event) => blocks.take(event))).toEqual(["lo", "\nHello!\n"]);
    expect(blocks.take(whole("Alone"))).toBe("Alone\n");
    expect(blocks.take({ type: "quarantined", v: 1, number: 2, at: 0 })).toBeUndefined();
  });
});

describe("PendingApprovals", () => {
  const approval = (id: string, more: Partial<Approval> = {}): Approval => ({
    id,
    session: "a",
    tool: "Bash",
    input: {},
    suggestions: [],
    requestedAt: 0,
    expiresAt: 1,
    ...more,
  });

  it("reads yes and no for the oldest one, and lets prompts through", () => {
    const pending = new PendingApprovals();
    expect(pending.read("y")).toBeUndefined();
    const [first, second] = [approval("1"), approval("2")];
    pending.add(first);
    pending.add(second);
    expect(pending.question()).toContain("Approve Bash?");
    expect(pending.read("y")).toEqual({ kind: "approve", approval: first, always: false });
    expect(pending.read("always")).toEqual({ kind: "approve", approval: first, always: true });
    expect(pending.read("n use staging")).toEqual({ kind: "deny", approval: first, message: "use staging" });
    for (const prompt of ["yes please", "a question", "nothing", ""])
      expect(pending.read(prompt), prompt).toBeUndefined();
    pending.remove("1");
    expect(pending.read("no")).toEqual({ kind: "deny", approval: second });
    pending.remove("2");
    expect(pending.question()).toBeUndefined();
  });

  it("asks one question after the other, and reads numbers and words", () => {
    const options = [
      { label: "Red", description: "" },
      { label: "Green", description: "" },
    ];
    const questions = [
      { question: "One?", header: "", options, multiSelect: false },
      { question: "Many?", header: "", options, multiSelect: true },
    ];
    const pending = new PendingApprovals();
    const asked = approval("1", { questions });
    pending.add(asked);
    expect(pending.question()).toContain("One?");
    expect(pending.read("/quit")).toBeUndefined();
    expect(pending.read("2")).toBe("more");
    expect(pending.question()).toContain("Many?");
    expect(pending.read("1, 2")).toEqual({
      kind: "answer",
      approval: asked,
      answers: { "One?": "Green", "Many?": "Red, Green" },
    });
    expect(pending.read("blue")).toBe("more");
    expect(pending.read("3")).toEqual({ kind: "answer", approval: asked, answers: { "One?": "blue", "Many?": "3" } });
  });
});

describe("exitCodeOf", () => {
  it("tells kinds of errors apart, and takes an unknown code for a failure", () => {
    const codes = [
      "SESSION_NOT_FOUND",
      "SERVER_UNREACHABLE",
      "FORBIDDEN",
      "MAILBOX_FULL",
      "TURN_FAILED",
      "NEW_CODE",
      "constructor",
    ];
    expect(codes.map((code) => exitCodeOf(new CastellanApiError(code, "", { status: 0 })))).toEqual([
      5, 3, 4, 6, 7, 1, 1,
    ]);
    expect([exitCodeOf(new Error("x")), exitCodeOf("x")]).toEqual([1, 1]);
  });
});

describe("completionScript", () => {
  it("completes commands, options and names", () => {
    const commands = [
      { name: "ps", description: "list", options: ["--state"], subcommands: [], takesSession: false },
      { name: "logs", description: "it's", options: [], subcommands: [], takesSession: true },
    ];
    for (const shell of ["bash", "zsh", "fish"] as const) {
      const script = completionScript(shell, commands);
      expect(script, shell).toContain("castellan ps --quiet");
      expect(script, shell).toContain("state");
    }
  });
});
