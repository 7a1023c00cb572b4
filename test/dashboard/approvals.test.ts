import { describe, expect, test } from "vitest";
import {
  type ApprovalCard,
  activeCard,
  neighbour,
  settlementOf,
  settlementText,
  withPending,
  withState,
} from "../../src/page/store/approval-card.ts";
import {
  type ApprovalDraft,
  allowanceOf,
  answersOf,
  newDraft,
  withNumber,
  withOther,
} from "../../src/page/store/approval-draft.ts";
import { sinceText, timeLeft } from "../../src/page/store/format.ts";
import { lastActive, withHistory } from "../../src/page/store/past-approvals.ts";
import { type KeyPress, shortcutOf } from "../../src/page/store/shortcuts.ts";
import { suggestionText } from "../../src/page/store/suggestion-text.ts";
import type { Approval, PastApproval } from "../../src/wire/approval.ts";
import type { PermissionUpdate } from "../../src/wire/permission-update.ts";

function approval(id: string, changes: Partial<Approval> = {}): Approval {
  const times = { requestedAt: 1_000, expiresAt: 601_000 };
  return { id, session: "a", tool: "Bash", input: { command: "ls" }, suggestions: [], ...times, ...changes };
}

const states = (cards: readonly ApprovalCard[]): string[] =>
  cards.map(({ approval: { id }, state }) => `${id} ${state.is}`);

describe("the cards of a page", () => {
  const [one, two, three] = [1, 2, 3].map((at) => approval(`${at}`, { requestedAt: at })) as [
    Approval,
    Approval,
    Approval,
  ];

  test("are in the order of the requests, and none vanishes when it is no longer pending", () => {
    const first = withPending([], [two, one]);
    expect(states(first)).toEqual(["1 open", "2 open"]);
    const second = withPending(first, [two, three]);
    expect(states(second)).toEqual(["1 gone", "2 open", "3 open"]);
    expect(withPending(second, [two, three])).toBe(second);
  });

  test("leave room for open ones when many have been settled", () => {
    const settlement = { outcome: "approved", mine: false } as const;
    let cards = withPending([], [one]);
    for (let at = 2; at <= 200; at++) {
      const next = approval(`${at}`, { requestedAt: at });
      cards = withPending(cards, [one, next]);
      if (at < 200) cards = withState(cards, next.id, { is: "settled", settlement });
    }
    const ids = cards.map(({ approval: { id } }) => id);
    expect(ids).toHaveLength(22);
    expect([ids[0], ids[1], ids.at(-1)]).toEqual(["1", "180", "200"]);
  });

  test("open again when an older list lacked them", () => {
    const gone = withPending(withPending([], [one]), []);
    expect(states(gone)).toEqual(["1 gone"]);
    expect(states(withPending(gone, [one]))).toEqual(["1 open"]);
  });

  test("wait for the effect of an answer under way, whatever a list says, and stay settled", () => {
    const sent = withState(withPending([], [one]), "1", { is: "sent" });
    expect(states(withPending(sent, []))).toEqual(["1 sent"]);
    const settlement = { outcome: "approved", mine: true } as const;
    const settled = withState(sent, "1", { is: "settled", settlement });
    expect(states(withPending(settled, [one]))).toEqual(["1 settled"]);
    expect(states(withState(settled, "1", { is: "open" }))).toEqual(["1 settled"]);
  });

  test("are answered by keys where the selection was: not an older one that comes later, nor the next one after an end", () => {
    const cards = withPending([], [two]);
    expect(activeCard(cards, undefined)?.approval.id).toBe("2");
    const older = withPending(cards, [one, two, three]);
    expect(states(older)).toEqual(["1 open", "2 open", "3 open"]);
    expect(activeCard(older, "2")?.approval.id).toBe("2");
    const gone = withPending(older, [one, three]);
    expect(activeCard(gone, "2")).toMatchObject({ approval: { id: "2" }, state: { is: "gone" } });
    // Taken away, or of a session that the page does not show.
    expect(activeCard(gone.slice(2), "2")?.approval.id).toBe("3");
    expect(activeCard([], "2")).toBeUndefined();
  });

  test("are left out by the keys once they are not open", () => {
    const cards = withState(withPending([], [one, two, three]), "2", { is: "sent" });
    expect(neighbour(cards, undefined, 1)).toBe("1");
    expect(neighbour(cards, "1", 1)).toBe("3");
    expect(neighbour(cards, "3", 1)).toBe("3");
    expect(neighbour(cards, "3", -1)).toBe("1");
    expect(neighbour(cards, "2", -1)).toBe("1");
    expect(neighbour([], "2", 1)).toBeUndefined();
  });

  test("tell who decided what", () => {
    const past: PastApproval[] = [
      {
        id: "1",
        tool: "Bash",
        input: {},
        requestedAt: 1,
        outcome: "denied",
        settledAt: 5,
        by: "token:b",
        message: "no",
      },
      { id: "2", tool: "Bash", input: {}, requestedAt: 1 },
    ];
    expect(settlementOf("1", past)).toEqual({ outcome: "denied", mine: false, by: "token:b", at: 5, message: "no" });
    expect(settlementOf("2", past)).toBeUndefined();
    expect(settlementOf("3", past)).toBeUndefined();
    expect(settlementText("Bash", { outcome: "denied", mine: false, by: "token:b" })).toBe("Denied by token:b");
    expect(settlementText("Bash", { outcome: "approved", mine: true, by: "token:b" })).toBe("Allowed by you");
    expect(settlementText("Bash", { outcome: "approved", mine: false })).toBe("Allowed");
    expect(settlementText("Bash", { outcome: "expired", mine: false })).toBe("Denied, because nobody answered in time");
    expect(settlementText("Bash", { outcome: "withdrawn", mine: true })).toBe("Withdrawn");
    expect(settlementText("AskUserQuestion", { outcome: "approved", mine: true })).toBe("Answered by you");
  });
});

describe("the history", () => {
  const past = (id: string, settledAt: number, outcome?: PastApproval["outcome"]): PastApproval => {
    return { id, tool: "Bash", input: {}, requestedAt: 1, settledAt, ...(outcome !== undefined && { outcome }) };
  };

  test("has each settled approval once, the newest first, and no more than fifty", () => {
    const first = withHistory([], "a", [past("1", 5, "approved"), past("2", 7, "denied"), past("3", 9)]);
    const second = withHistory(first, "b", [past("4", 6, "expired")]);
    const third = withHistory(second, "a", [past("1", 5, "approved"), past("3", 9, "withdrawn")]);
    expect(third.map(({ id, session }) => `${id} ${String(session)}`)).toEqual(["3 a", "2 a", "4 b", "1 a"]);
    const many = Array.from({ length: 80 }, (_, index) => past(`m${index}`, index, "approved"));
    expect(withHistory([], "a", many).map(({ id }) => id)).toEqual(
      many
        .slice(30)
        .map(({ id }) => id)
        .reverse(),
    );
  });

  test("is read of the sessions that were active last", () => {
    const session = (name: string, lastSignOfLife?: number, starts = 1) => {
      const lists = { tasks: [], wakeups: [], faults: [] };
      const counts = { starts, backgroundTasks: 0, mailbox: 0, restarts: 0 };
      const status = { name, state: "idle", conversationId: "c", ...lists, ...counts, lastSignOfLife } as const;
      return { name, state: "idle" as const, status };
    };
    const all = [session("a", 1), session("b"), session("c", 9), session("never", undefined, 0)];
    expect(lastActive([...all, { name: "stored", state: "stored" }], 2)).toEqual(["c", "a"]);
    expect(lastActive([], 5)).toEqual([]);
  });
});

const RULES: readonly PermissionUpdate[] = [
  { type: "setMode", mode: "acceptEdits", destination: "session" },
  { type: "addDirectories", directories: ["/x"], destination: "session" },
];

const QUESTIONS = [
  {
    question: "Which?",
    header: "",
    options: ["x", "y"].map((label) => ({ label, description: "" })),
    multiSelect: false,
  },
  {
    question: "And?",
    header: "",
    options: ["1", "2", "3"].map((label) => ({ label, description: "" })),
    multiSelect: true,
  },
];

const pressed = (asked: Approval, ...numbers: number[]): ApprovalDraft =>
  numbers.reduce((draft, number) => withNumber(asked, draft, number), newDraft(asked));

describe("what an operator chooses", () => {
  test("numbers tick suggestions, twice not, and without one nothing", () => {
    const asked = approval("1", { suggestions: RULES });
    expect(allowanceOf(asked, pressed(asked))).toEqual({});
    expect(allowanceOf(asked, pressed(asked, 2, 1))).toEqual({ rules: RULES });
    expect(allowanceOf(asked, pressed(asked, 1, 2, 1, 9))).toEqual({ rules: [RULES[1]] });
  });

  test("numbers answer the question, a single choice goes to the next one", () => {
    const asked = approval("1", { tool: "AskUserQuestion", questions: QUESTIONS });
    const draft = pressed(asked, 2, 3, 1, 9);
    expect(draft.question).toBe(1);
    expect(allowanceOf(asked, draft)).toEqual({ answers: { "Which?": "y", "And?": ["1", "3"] } });
    expect(allowanceOf(asked, pressed(asked, 1, 2, 2))).toEqual({ answers: { "Which?": "x" } });
    expect(() => allowanceOf(asked, pressed(asked))).toThrow("Choose an answer first.");
  });

  test("other words replace a single choice and join several", () => {
    const asked = approval("1", { questions: QUESTIONS });
    const single = withOther(QUESTIONS, { ...pressed(asked, 1), question: 0 }, "  z ");
    expect(answersOf(QUESTIONS, single.choices)).toEqual({ "Which?": "z" });
    const back = withNumber(asked, single, 2);
    expect(answersOf(QUESTIONS, back.choices)).toEqual({ "Which?": "y" });
    const several = withOther(QUESTIONS, pressed(asked, 1, 2), "more");
    expect(answersOf(QUESTIONS, several.choices)).toEqual({ "Which?": "x", "And?": ["2", "more"] });
    expect(answersOf(QUESTIONS, withOther(QUESTIONS, several, "  ").choices)).toEqual({ "Which?": "x", "And?": ["2"] });
  });

  test("a question with the name of a property of objects is a question", () => {
    const questions = ["__proto__", "constructor"].map((question) => ({
      ...(QUESTIONS[0] as (typeof QUESTIONS)[0]),
      question,
    }));
    const asked = approval("1", { questions });
    expect(Object.entries(answersOf(questions, pressed(asked, 1, 2).choices))).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
  });

  test("a changed input is sent only if it is changed, and is checked", () => {
    const asked = approval("1");
    const edit = { ...newDraft(asked), mode: "edit" as const };
    expect(allowanceOf(asked, edit)).toEqual({});
    expect(allowanceOf(asked, { ...edit, edited: "pwd" })).toEqual({ input: { command: "pwd" } });
    expect(allowanceOf(asked, { ...edit, mode: "choose", edited: "pwd" })).toEqual({});
    const other = approval("2", { tool: "mcp__a__b", input: { x: 1 } });
    expect(allowanceOf(other, { ...edit, edited: '{"x":2}' })).toEqual({ input: { x: 2 } });
    for (const edited of ["[1]", "null", "2", "{"]) expect(() => allowanceOf(other, { ...edit, edited })).toThrow();
  });
});

describe("what a suggestion means", () => {
  const rules = (toolName: string, ruleContent?: string): PermissionUpdate => {
    const rule = { toolName, ...(ruleContent !== undefined && { ruleContent }) };
    return { type: "addRules", behavior: "allow", destination: "localSettings", rules: [rule] };
  };
  test.each<[PermissionUpdate, string, boolean]>([
    [rules("Bash", "touch:*"), "Do not ask again for commands that begin with touch", false],
    [rules("Bash", "touch made *"), "Do not ask again for commands that begin with touch made", false],
    [rules("Bash", "git * main"), "Do not ask again for commands that match git * main", false],
    [rules("Bash", "ls -l"), "Do not ask again for the command ls -l", false],
    [rules("Bash"), "Do not ask again for any command", true],
    [rules("mcp__mail__send"), "Do not ask again for any use of send of the MCP server mail", true],
    [rules("WebFetch", "domain:a.example"), "Do not ask again for pages of a.example", false],
    [rules("Read", "//etc/**"), "Do not ask again for reading files that match //etc/**", false],
    [rules("Bash", "*"), "Do not ask again for commands that match *", true],
    [rules("Bash", ":*"), "Do not ask again for commands that match :*", true],
    [rules("Edit", "//**"), "Do not ask again for changing files that match //**", true],
    [{ type: "addDirectories", directories: ["/a", "/"], destination: "session" }, "Work in /a, /", true],
    [{ type: "addDirectories", directories: ["~"], destination: "session" }, "Work in ~", true],
    [
      { type: "removeDirectories", directories: ["/"], destination: "session" } as PermissionUpdate,
      "No longer work in /",
      false,
    ],
    [rules("Skill", "x"), "Do not ask again for Skill with x", false],
    [
      { ...rules("Bash", "rm:*"), behavior: "deny" } as PermissionUpdate,
      "Always deny commands that begin with rm",
      false,
    ],
    [{ ...rules("Bash"), type: "removeRules" } as PermissionUpdate, "Forget the rule to allow any command", false],
    [{ type: "setMode", mode: "bypassPermissions", destination: "session" }, "Use every tool without asking", true],
    [{ type: "addDirectories", directories: ["/a", "/b"], destination: "session" }, "Work in /a, /b", false],
  ])("%j", (update, what, wide) => {
    expect(suggestionText(update)).toMatchObject({ what, wide });
  });

  test("says where it is kept and for how long", () => {
    expect(suggestionText(rules("Bash")).where).toContain(".claude/settings.local.json");
    expect(suggestionText({ type: "setMode", mode: "plan", destination: "localSettings" }).where).toContain(
      "until its process ends",
    );
    expect(suggestionText({ type: "setMode", mode: "plan", destination: "session" }).where).toContain(
      "until its conversation is cleared",
    );
    expect(suggestionText({ type: "setMode", mode: "plan", destination: "userSettings" }).where).toContain(
      "~/.claude/settings.json",
    );
  });
});

describe("a key", () => {
  const press = (key: string, changes: Partial<KeyPress> = {}) =>
    shortcutOf({ key, modified: false, repeated: false, where: "page", ...changes })?.does;

  test("acts on the page, never while somebody types or holds a modifier", () => {
    expect(["j", "k", "ArrowDown", "a", "d", "e", "n", "o", "?", "7", "Escape"].map((key) => press(key))).toEqual([
      "next",
      "previous",
      "next",
      "allow",
      "deny",
      "edit",
      "question",
      "other",
      "help",
      "number",
      "leave",
    ]);
    for (const key of ["j", "a", "d", "1", "?", "ArrowDown"]) {
      expect([press(key, { where: "text" }), press(key, { modified: true })]).toEqual([undefined, undefined]);
    }
    expect(press("Escape", { where: "text" })).toBe("leave");
    expect(["A", "0", "Enter", " ", "Tab", "constructor", "toString"].map((key) => press(key))).toEqual(
      Array(7).fill(undefined),
    );
  });

  test("that is held down moves, but decides nothing", () => {
    expect(press("j", { repeated: true })).toBe("next");
    expect([press("a", { repeated: true }), press("d", { repeated: true }), press("1", { repeated: true })]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("an arrow scrolls where it scrolls", () => {
    expect([press("ArrowDown", { where: "moving" }), press("j", { where: "moving" })]).toEqual([undefined, "next"]);
  });
});

describe("the time that is left", () => {
  test.each([
    [0, "0 s"],
    [-5_000, "0 s"],
    [1, "1 s"],
    [59_001, "1 min 00 s"],
    [65_000, "1 min 05 s"],
    [7_200_000, "2 h 00 min"],
    [90_061_000, "1 d 1 h"],
  ])("%i ms is %s", (left, text) => {
    expect(timeLeft(1_000_000 + left, 1_000_000)).toBe(text);
  });

  test("and the time that has passed", () => {
    expect([sinceText(0, 1_000), sinceText(0, 61_000)]).toEqual(["just now", "1 min ago"]);
  });
});
