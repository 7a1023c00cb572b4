import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Conversation,
  type ConversationEvent,
  conversationStart,
  endIsUnknown,
  firstConversation,
  forkOptions,
  isBroken,
  isSummarised,
  isSuspect,
  knownEnd,
  nextConversation,
} from "../../src/session/conversation/conversation.ts";

function counter(): () => string {
  let last = 0;
  return () => {
    last++;
    return `id-${last}`;
  };
}

function applied(conversation: Conversation, ...events: ConversationEvent[]): Conversation {
  return events.reduce(nextConversation, conversation);
}

const FRESH: Conversation = { kind: "new", id: "a" };
const prompted: ConversationEvent = { type: "prompted" };
const kept = (lastUuid?: string): ConversationEvent => ({ type: "turn_kept", lastUuid });
const undone: ConversationEvent = { type: "turn_undone", freshId: "b" };

describe("firstConversation", () => {
  it.each([
    ["a new conversation", {}, { kind: "new", id: "id-1" }],
    ["a new conversation with a given id", { sessionId: "s" }, { kind: "new", id: "s" }],
    ["an existing conversation", { resume: "r" }, { kind: "kept", id: "r", empty: false, cut: false }],
    [
      "an existing conversation, cut back",
      { resume: "r", resumeSessionAt: "m" },
      { kind: "kept", id: "r", empty: false, lastUuid: "m", cut: true },
    ],
    ["a fork", { resume: "r", forkSession: true }, { kind: "fork", id: "id-1", fork: { from: "r" } }],
    [
      "a fork with a given id at a message",
      { resume: "r", forkSession: true, resumeSessionAt: "m", sessionId: "s" },
      { kind: "fork", id: "s", fork: { from: "r", at: "m" } },
    ],
  ])("returns %s", (_, options, expected) => {
    expect(firstConversation(options, counter())).toEqual(expected);
  });
});

describe("nextConversation", () => {
  it("starts anew until a prompt was sent, and resumes from then on", () => {
    expect(conversationStart(FRESH)).toEqual({ kind: "new", id: "a" });
    expect(conversationStart(applied(FRESH, prompted))).toMatchObject({ kind: "resume", id: "a" });
    expect(conversationStart(applied(FRESH, prompted, kept("m1")))).toEqual({ kind: "resume", id: "a" });
  });

  it("starts a new conversation after a first turn that was undone, so its prompt stands once", () => {
    expect(conversationStart(applied(FRESH, prompted, undone))).toEqual({ kind: "new", id: "b" });
  });

  it("cuts a later undone turn off after the last kept one", () => {
    const cut = applied(FRESH, prompted, kept("m1"), prompted, undone);
    expect(conversationStart(cut)).toEqual({ kind: "resume", id: "a", at: "m1" });
    // The cut-off turn would come back until a new message is written.
    expect(conversationStart(applied(cut, prompted))).toEqual({ kind: "resume", id: "a", at: "m1" });
    expect(conversationStart(applied(cut, prompted, kept("m2")))).toEqual({ kind: "resume", id: "a" });
  });

  it("keeps a turn that was cut after it had shown something", () => {
    const cut = applied(FRESH, prompted, kept("m1"), prompted, kept("m2"));
    expect(conversationStart(cut)).toEqual({ kind: "resume", id: "a" });
    expect(conversationStart(applied(cut, prompted, undone))).toMatchObject({ at: "m2" });
  });

  it("cuts back to the last known message when a turn ended without one", () => {
    const finished = applied(FRESH, prompted, kept("m1"), prompted, kept(undefined));
    expect(conversationStart(applied(finished, prompted, undone))).toMatchObject({ at: "m1" });
  });

  it("resumes the whole conversation after a refused cut", () => {
    const cut = applied(FRESH, prompted, kept("m1"), prompted, undone, { type: "cut_refused" });
    expect(conversationStart(cut)).toEqual({ kind: "resume", id: "a" });
  });

  it("follows Claude Code into another conversation, which starts empty", () => {
    const moved = applied(FRESH, prompted, kept("m1"), prompted, { type: "moved", id: "c" });
    expect(conversationStart(moved)).toEqual({ kind: "resume", id: "c" });
    expect(conversationStart(applied(moved, undone))).toEqual({ kind: "new", id: "b" });
    expect(conversationStart(applied(moved, kept("m2"), prompted, undone))).toEqual({
      kind: "resume",
      id: "c",
      at: "m2",
    });
  });

  it("adopts a transcript that it finds", () => {
    const found = applied(FRESH, { type: "found" });
    expect(conversationStart(found)).toEqual({ kind: "resume", id: "a" });
    expect(found).toMatchObject({ empty: false });
  });

  it("starts anew when the transcript that it found is missing, unless a process has resumed it", () => {
    const found = applied(FRESH, { type: "found" });
    expect(nextConversation(found, { type: "missing", freshId: "b" })).toEqual({ kind: "new", id: "b" });
    const resumed = nextConversation(found, { type: "resumed" });
    expect(nextConversation(resumed, { type: "missing", freshId: "b" })).toEqual(resumed);
  });

  it("knows the last message that the transcript must have", () => {
    const worked = applied(FRESH, prompted, kept("m1"));
    expect(knownEnd(worked)).toEqual(["m1"]);
    // A cut turn's messages may be missing in the transcript.
    const cut = applied(worked, prompted, { type: "turn_cut", lastUuid: "m2" });
    expect(knownEnd(cut)).toEqual(["m2", "m1"]);
    expect(knownEnd(applied(cut, prompted, kept("m3")))).toEqual(["m3"]);
    // Claude Code itself looks for the message of a cut.
    expect(knownEnd(applied(worked, prompted, { type: "turn_undone", freshId: "b" }))).toEqual([]);
    for (const unknown of [FRESH, applied(FRESH, prompted), applied(FRESH, { type: "found" })]) {
      expect(knownEnd(unknown)).toEqual([]);
    }
  });

  it("is broken after an unwritten message until it falls back or is forgotten", () => {
    const broken = applied(FRESH, prompted, kept("m1"), { type: "unwritten" }, prompted, kept("m2"));
    expect(isBroken(broken)).toBe(true);
    expect(isBroken(nextConversation(broken, { type: "behind", lastUuid: "m1" }))).toBe(false);
    expect(isBroken(nextConversation(broken, { type: "forgotten", freshId: "b" }))).toBe(false);
    expect(isBroken(applied(FRESH, prompted, kept("m1")))).toBe(false);
  });

  it("continues from the end of an older transcript", () => {
    const worked = applied(FRESH, prompted, kept("m1"), prompted, { type: "turn_cut", lastUuid: "m2" });
    const behind = nextConversation(worked, { type: "behind", lastUuid: "m0" });
    expect(knownEnd(behind)).toEqual(["m0"]);
    expect(conversationStart(behind)).toEqual({ kind: "resume", id: "a" });
    expect(knownEnd(nextConversation(worked, { type: "behind", lastUuid: undefined }))).toEqual([]);
  });

  it("forks, and resumes the fork after its first kept turn", () => {
    const fork: Conversation = { kind: "fork", id: "f", fork: { from: "a", at: "m" } };
    expect(conversationStart(fork)).toEqual({ kind: "fork", id: "f", from: "a", at: "m" });
    expect(conversationStart(applied(fork, prompted, kept("m2")))).toEqual({ kind: "resume", id: "f" });
    expect(conversationStart(applied(fork, prompted, undone))).toEqual({ kind: "fork", id: "b", from: "a", at: "m" });
  });

  it("starts anew without a transcript only if all its turns were cut and no process has resumed it", () => {
    const cut: ConversationEvent = { type: "turn_cut", lastUuid: "m1" };
    const missing: ConversationEvent = { type: "missing", freshId: "b" };
    const fork: Conversation = { kind: "fork", id: "f", fork: { from: "a", at: "m" } };
    expect(conversationStart(applied(FRESH, prompted, cut))).toEqual({ kind: "resume", id: "a" });
    expect(applied(FRESH, prompted, cut, prompted, cut, missing)).toEqual({ kind: "new", id: "b" });
    expect(applied(fork, prompted, cut, missing)).toEqual({ ...fork, id: "b" });
    for (const known of [
      applied(FRESH, prompted, kept("m1")),
      applied(FRESH, prompted, cut, { type: "resumed" }),
      applied(FRESH, prompted, cut, prompted, kept("m2")),
      applied(FRESH, prompted, kept("m1"), prompted, cut),
    ]) {
      expect(applied(known, missing)).toEqual(known);
      expect(known).not.toHaveProperty("unwritten");
    }
  });

  it("cuts back to before a cut turn whose messages were never written, and then not at all", () => {
    const cut = (lastUuid: string): ConversationEvent => ({ type: "turn_cut", lastUuid });
    const refused: ConversationEvent = { type: "cut_refused" };
    const told = applied(FRESH, prompted, kept("m1"), prompted, cut("m2"), prompted, cut("m3"), prompted, undone);
    expect(conversationStart(told)).toEqual({ kind: "resume", id: "a", at: "m3" });
    const again = nextConversation(told, refused);
    expect(conversationStart(again)).toEqual({ kind: "resume", id: "a", at: "m1" });
    expect(conversationStart(nextConversation(again, refused))).toEqual({ kind: "resume", id: "a", at: undefined });
    // An ended turn has been written, and all before it.
    const later = applied(
      FRESH,
      prompted,
      kept("m1"),
      prompted,
      cut("m2"),
      prompted,
      kept("m4"),
      prompted,
      undone,
      refused,
    );
    expect(conversationStart(later)).toEqual({ kind: "resume", id: "a", at: undefined });
  });

  it("copies up to the summary of a compaction in an undone turn, and falls back to the summary", () => {
    const compacted: ConversationEvent = { type: "turn_undone", freshId: "b", summary: "s1" };
    const copied = (id?: string): ConversationEvent => ({ type: "copied", id });
    const cut = applied(FRESH, prompted, kept("m1"), prompted, compacted);
    expect(isSummarised(cut)).toBe(true);
    expect(conversationStart(cut)).toEqual({ kind: "resume", id: "a", at: "m1" });
    expect(forkOptions(cut, false)).toEqual({ resume: "a", forkSession: true, resumeSessionAt: "s1" });
    const copy = applied(cut, copied("c"));
    expect(copy).toEqual({ kind: "kept", id: "c", empty: false, cut: false });
    expect(endIsUnknown(copy)).toBe(true);
    const not = applied(cut, copied());
    expect(isSummarised(not)).toBe(false);
    expect(conversationStart(not)).toEqual({ kind: "resume", id: "a", at: "m1" });
    expect(conversationStart(applied(not, { type: "cut_refused" }))).toEqual({ kind: "resume", id: "a", at: "s1" });
    expect(isSummarised(applied(cut, prompted, undone))).toBe(true);
    expect(applied(cut, prompted, kept("m2"))).toEqual(applied(FRESH, prompted, kept("m2")));
    expect(isSuspect(applied(cut, { ...compacted, suspect: true }, copied("c")))).toBe(true);
    // A conversation with an unknown end continues from the summary.
    const unknown: Conversation = { kind: "kept", id: "a", empty: false, cut: false };
    expect(conversationStart(applied(unknown, compacted))).toEqual({ kind: "resume", id: "a", at: "s1" });
    expect(isSummarised(applied(unknown, compacted))).toBe(false);
  });

  it("is suspect until its transcript was read or a turn has worked in it", () => {
    const refused: ConversationEvent = { type: "turn_undone", freshId: "b", suspect: true };
    const lookedBack = (lastUuid?: string): ConversationEvent => ({ type: "looked_back", lastUuid });
    const suspect = applied(FRESH, prompted, kept("m1"), prompted, kept("m2"), prompted, refused);
    expect(isSuspect(suspect)).toBe(true);
    expect(isSuspect(applied(suspect, prompted, undone))).toBe(true);
    expect(isSuspect(applied(suspect, prompted, kept("m3")))).toBe(false);
    const back = applied(suspect, lookedBack("m1"));
    expect(isSuspect(back)).toBe(false);
    expect(conversationStart(back)).toEqual({ kind: "resume", id: "a", at: "m1" });
    // A refused cut does not bring back what was removed.
    expect(conversationStart(applied(back, { type: "cut_refused" }))).toEqual({ kind: "resume", id: "a", at: "m2" });
    expect(conversationStart(applied(suspect, lookedBack()))).toEqual({ kind: "resume", id: "a", at: "m2" });
    expect(isSuspect(applied(suspect, lookedBack()))).toBe(false);
    // A first turn that is undone leaves an empty conversation.
    expect(applied(FRESH, prompted, refused)).toEqual({ kind: "new", id: "b" });
    const fork: Conversation = { kind: "fork", id: "f", fork: { from: "a", at: "m" } };
    expect(applied(fork, prompted, refused)).toEqual({ ...fork, id: "b" });
  });

  it("starts anew after `forgotten`", () => {
    const forgotten: ConversationEvent = { type: "forgotten", freshId: "b" };
    expect(conversationStart(applied(FRESH, prompted, kept("m1"), forgotten))).toEqual({
      kind: "new",
      id: "b",
    });
  });
});

type Step = "up" | "prompted" | "kept" | "kept unknown" | "undone" | "moved" | "cut refused" | "forgotten";

/** Applies the possible steps: no turn without a process, and one turn at a time. */
function applyPossible(
  first: Conversation,
  steps: readonly Step[],
  look: (now: Conversation, step: Step) => void,
): void {
  const newId = counter();
  const events: Record<Exclude<Step, "up">, () => ConversationEvent> = {
    prompted: () => prompted,
    kept: () => kept(`m-${newId()}`),
    "kept unknown": () => kept(),
    undone: () => ({ type: "turn_undone", freshId: newId() }),
    moved: () => ({ type: "moved", id: newId() }),
    "cut refused": () => ({ type: "cut_refused" }),
    forgotten: () => ({ type: "forgotten", freshId: newId() }),
  };
  let up = false;
  let turn = false;
  let now = first;
  for (const step of steps) {
    const possible =
      step === "up" || step === "cut refused" || step === "forgotten" ? !turn : up && turn !== (step === "prompted");
    if (!possible) continue;
    up ||= step === "up";
    if (step === "undone" || step === "forgotten") up = false;
    if (step !== "moved") turn = step === "prompted";
    if (step !== "up") now = nextConversation(now, events[step]());
    look(now, step);
  }
}

const steps = fc.array(
  fc.constantFrom<Step>(
    "up",
    "up",
    "prompted",
    "prompted",
    "prompted",
    "kept",
    "kept",
    "kept unknown",
    "undone",
    "moved",
    "cut refused",
    "forgotten",
  ),
  { maxLength: 40 },
);
const first = fc.constantFrom<Conversation>(
  FRESH,
  { kind: "fork", id: "f", fork: { from: "a", at: "m" } },
  { kind: "fork", id: "f", fork: { from: "a" } },
  { kind: "kept", id: "r", empty: false, cut: false },
  { kind: "kept", id: "r", empty: false, lastUuid: "m", cut: true },
);

describe("nextConversation, in any order of events", () => {
  it("gives up a conversation with a finished turn only on `forgotten` and `moved`", () => {
    fc.assert(
      fc.property(first, steps, (beginning, taken) => {
        let finished = beginning.kind === "kept" ? beginning.id : undefined;
        applyPossible(beginning, taken, (now, step) => {
          if (step === "forgotten" || step === "moved") finished = undefined;
          if (finished !== undefined) expect(now.id).toBe(finished);
          if (step === "kept" || step === "kept unknown") finished = now.id;
        });
      }),
    );
  });

  it("never starts a conversation under an id that Claude Code may know", () => {
    fc.assert(
      fc.property(first, steps, (beginning, taken) => {
        const known = new Set<string>();
        applyPossible(beginning, taken, (now, step) => {
          if (step === "prompted" || step === "moved") known.add(now.id);
          if (conversationStart(now).kind === "new") expect(known).not.toContain(now.id);
        });
      }),
    );
  });

  it("stops forking once something was said in the fork", () => {
    fc.assert(
      fc.property(first, steps, (beginning, taken) => {
        let said = false;
        applyPossible(beginning, taken, (now, step) => {
          said ||= step === "kept" || step === "kept unknown";
          if (said) expect(conversationStart(now).kind).not.toBe("fork");
        });
      }),
    );
  });

  it("cuts back only to a kept message, and not after a later turn", () => {
    fc.assert(
      fc.property(first, steps, (beginning, taken) => {
        applyPossible(beginning, taken, (now, step) => {
          const start = conversationStart(now);
          if (step === "kept" || step === "kept unknown" || step === "moved")
            expect(start).not.toHaveProperty("at", expect.any(String));
          if (start.kind === "resume" && start.at !== undefined)
            expect(now).toMatchObject({ kind: "kept", lastUuid: start.at });
        });
      }),
    );
  });
});

describe("nextConversation, of a resumed id", () => {
  const taken: Conversation = { kind: "kept", id: "r", empty: false, cut: false };

  it("cuts back once the end of the transcript was read", () => {
    expect(endIsUnknown(taken)).toBe(true);
    expect(conversationStart(applied(taken, prompted, undone))).toEqual({ kind: "resume", id: "r" });
    const read = applied(taken, { type: "read", lastUuid: "m" });
    expect(endIsUnknown(read)).toBe(false);
    expect(conversationStart(read)).toEqual({ kind: "resume", id: "r" });
    expect(conversationStart(applied(read, prompted, undone))).toEqual({ kind: "resume", id: "r", at: "m" });
  });

  it("reads the end of no other conversation", () => {
    const known: Conversation[] = [
      FRESH,
      { kind: "fork", id: "f", fork: { from: "r" } },
      { kind: "kept", id: "a", empty: true, cut: false },
      applied(FRESH, prompted, kept("m")),
      applied({ kind: "fork", id: "f", fork: { from: "r" } }, prompted),
    ];
    expect(known.filter(endIsUnknown)).toEqual([]);
    for (const conversation of known) {
      expect(applied(conversation, { type: "read", lastUuid: "x" })).toEqual(conversation);
    }
  });
});
