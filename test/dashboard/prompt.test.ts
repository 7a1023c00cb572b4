import { describe, expect, test } from "vitest";
import { CastellanApiError } from "../../src/client/index.ts";
import { keepDraft, keptDraft, readDraft } from "../../src/page/store/drafts.ts";
import { isSending } from "../../src/page/store/enter-key.ts";
import { Delivery, promptNote } from "../../src/page/store/prompt-delivery.ts";
import {
  type Draft,
  draftProblem,
  EMPTY_DRAFT,
  edited,
  fileProblem,
  imageType,
  isEmpty,
  MOST_CHARACTERS,
  MOST_IMAGES,
  promptOf,
  withAdded,
  withFiles,
} from "../../src/page/store/prompt-draft.ts";
import { checkBlocks, LONGEST_PROMPT } from "../../src/session/options/prompt-blocks.ts";
import { PNG } from "../session/prompt-contents.ts";

const HEADS = {
  "image/png": "\x89PNG\r\n\x1a\n",
  "image/jpeg": "\xff\xd8\xff\xe0",
  "image/gif": "GIF89a",
  "image/webp": "RIFF\n\0\0\0WEBPVP8 ",
};
const base64 = (head: string): string => Buffer.from(head.padEnd(60, "x"), "latin1").toString("base64");

describe("a prompt", () => {
  test("is a text without images, and otherwise blocks that the library accepts, the images first", () => {
    expect(promptOf({ text: "hello", images: [] })).toBe("hello");
    const files = Object.entries(HEADS).map(([name, head]) => ({ name, data: base64(head) }));
    const { draft, problems } = withFiles({ text: "What is this?", images: [], key: "k" }, files);
    expect(problems).toEqual([]);
    expect(draft.images.map(({ type }) => type)).toEqual(Object.keys(HEADS));
    for (const text of ["What is this?", " \n"]) {
      const prompt = promptOf({ ...draft, text });
      expect(Array.isArray(prompt) && prompt.map(({ type }) => type)).toEqual([
        ...files.map(() => "image"),
        ...(text.trim() === "" ? [] : ["text"]),
      ]);
      expect(checkBlocks(prompt as object[])).toHaveProperty("blocks");
    }
    expect([isEmpty(EMPTY_DRAFT), isEmpty({ text: " \n", images: [] }), isEmpty({ ...draft, text: "" })]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test("keeps images that are added while it is sent, for the next prompt or the next try", () => {
    const image = (name: string) => ({ name, data: base64(HEADS["image/png"]) });
    const sent = withFiles({ text: "a", images: [], key: "k" }, [image("sent")]).draft;
    const tried = { ...sent, key: "tried" };
    expect(withAdded(EMPTY_DRAFT, sent, sent)).toBe(EMPTY_DRAFT);
    expect(withAdded(tried, sent, sent)).toBe(tried);
    const now = withFiles(sent, [image("added")]).draft;
    const accepted = withAdded(EMPTY_DRAFT, sent, now);
    expect(accepted).toMatchObject({ text: "", images: [{ name: "added" }] });
    // Another prompt than the one that was tried.
    const refused = withAdded(tried, sent, now);
    expect(refused).toMatchObject({ text: "a", images: [{ name: "sent" }, { name: "added" }] });
    expect([accepted.key, refused.key]).toEqual([undefined, undefined]);
  });

  test("takes an image by its bytes, whatever its name says, and tells of any other file", () => {
    for (const [type, head] of Object.entries(HEADS)) expect(imageType(base64(head))).toBe(type);
    for (const head of ["", "%PDF-1.4", "<svg ", "BM", "RIFF\n\0\0\0WAVE"]) {
      const name = `${JSON.stringify(head)}\u202e.png`;
      const { draft, problems } = withFiles(EMPTY_DRAFT, [
        { name, data: Buffer.from(head, "latin1").toString("base64") },
      ]);
      expect(draft).toBe(EMPTY_DRAFT);
      expect(problems).toEqual([expect.stringMatching(/\\u202e\.png is no PNG, JPEG, GIF or WebP image\.$/)]);
    }
  });

  test("has the library's limits, and says so before it is sent", () => {
    expect(MOST_CHARACTERS).toBe(LONGEST_PROMPT);
    const half = { name: "half.png", data: PNG.padEnd(MOST_CHARACTERS / 2, "A") };
    const two = withFiles(EMPTY_DRAFT, [half, { ...half, name: "second.png" }, { ...half, name: "third.png" }]);
    expect(two.draft.images.map(({ name }) => name)).toEqual(["half.png", "second.png"]);
    expect(two.problems).toEqual(["third.png does not fit: a prompt takes 14 MB of images, and with it has 21 MB."]);
    expect(draftProblem(two.draft)).toBeUndefined();
    expect(draftProblem({ ...two.draft, text: "x" })).toMatch(/20,000,001 of at most 20,000,000/);
    const many = withFiles(
      EMPTY_DRAFT,
      Array.from({ length: MOST_IMAGES + 1 }, (_, n) => ({ name: `${n}`, data: PNG })),
    );
    expect([many.draft.images.length, many.problems]).toEqual([
      100,
      ["100 is one too many: a prompt takes 100 images."],
    ]);
    expect(fileProblem({ name: "a.png", size: 15_000_000 })).toBeUndefined();
    expect(fileProblem({ name: "a.png", size: 15_000_001 })).toMatch(/^a\.png does not fit/);
  });
});

describe("a draft", () => {
  test("comes back from storage, and tells of images that had no room", () => {
    const image = { name: "a.png", type: "image/png", data: PNG };
    const kept = JSON.stringify({ text: "half a sen", key: "k", images: 2 });
    expect(readDraft(kept, JSON.stringify([image, image]))).toEqual({
      draft: { text: "half a sen", key: "k", images: [image, image] },
      lost: 0,
    });
    expect(readDraft(kept, null)).toMatchObject({ draft: { text: "half a sen", images: [] }, lost: 2 });
    expect(readDraft(kept, JSON.stringify([image, { name: 1 }, null]))).toMatchObject({
      draft: { images: [image] },
      lost: 1,
    });
    for (const none of [null, "", "{", "[]", "null", '"text"', '{"text":1}']) {
      expect(readDraft(none, none), String(none)).toEqual({ draft: EMPTY_DRAFT, lost: 0 });
    }
  });

  test("is kept while the page is open, by session, also without storage", () => {
    keepDraft("/a x", { text: "one", images: [] });
    keepDraft("/a y", { text: "two", images: [] });
    expect([keptDraft("/a x").draft.text, keptDraft("/a y").draft.text, keptDraft("/b x").draft]).toEqual([
      "one",
      "two",
      EMPTY_DRAFT,
    ]);
  });
});

interface Sent {
  readonly prompt: unknown;
  readonly key: string | undefined;
}

/** A session that fails with the given errors, one after the other, and then accepts. */
function sessionFailing(errors: Error[], holder = "turn"): { sent: Sent[]; kept: Draft[]; delivery: Delivery } {
  const [sent, kept]: [Sent[], Draft[]] = [[], []];
  const answer = async <Value>(value: Value): Promise<Value> => {
    const error = errors.shift();
    if (error !== undefined) throw error;
    return value;
  };
  const session = {
    enqueue: (prompt: unknown, options: { idempotencyKey?: string | undefined } = {}) => {
      sent.push({ prompt, key: options.idempotencyKey });
      return answer("id");
    },
    steer: (_turn: string, message: unknown) => {
      sent.push({ prompt: message, key: undefined });
      return answer({ id: holder });
    },
  };
  let keys = 0;
  return {
    sent,
    kept,
    delivery: new Delivery(
      session,
      (draft) => kept.push(draft),
      () => `key${++keys}`,
    ),
  };
}

const unreachable = new CastellanApiError("SERVER_UNREACHABLE", "The server cannot be reached.", { status: 0 });

describe("sending", () => {
  test("a second try of the same prompt has the same key, and an edited prompt another one", async () => {
    const { sent, kept, delivery } = sessionFailing([unreachable, unreachable]);
    const first = await delivery.send({ text: "hello", images: [] }, undefined);
    expect(first).toEqual({
      draft: { text: "hello", images: [], key: "key1" },
      problem: "The prompt was not accepted: The server cannot be reached.",
    });
    // Before the request, so that a reload in between keeps the key.
    expect(kept).toEqual([first.draft]);
    const second = await delivery.send(first.draft, undefined);
    expect(await delivery.send(edited(second.draft, { text: "hello!" }), undefined)).toEqual({
      draft: EMPTY_DRAFT,
      problem: undefined,
    });
    expect(sent.map(({ key }) => key)).toEqual(["key1", "key1", "key2"]);
  });

  test("a message that a turn did not get stays, and tells if its fate is unknown", async () => {
    const refused = new CastellanApiError("STEER_REFUSED", "The turn takes no message.", { status: 400 });
    const { sent, delivery } = sessionFailing([refused, unreachable]);
    const draft = { text: "be brief", images: [] };
    expect(await delivery.send(draft, "turn")).toEqual({
      draft,
      problem: expect.stringMatching(/did not get the message: The turn takes/),
    });
    expect(await delivery.send(draft, "turn")).toEqual({ draft, problem: expect.stringMatching(/^It is not known/) });
    expect(await delivery.send(draft, "turn")).toEqual({ draft: EMPTY_DRAFT, problem: undefined });
    expect(await sessionFailing([], "another").delivery.send(draft, "turn")).toEqual({
      draft: EMPTY_DRAFT,
      problem: expect.stringContaining("a turn of its own"),
    });
    expect(sent).toEqual(Array(3).fill({ prompt: { text: "be brief", afterEnd: "enqueue" }, key: undefined }));
  });

  test("nothing is sent that the server would refuse", async () => {
    const { sent, delivery } = sessionFailing([]);
    const draft = { text: "x".repeat(MOST_CHARACTERS + 1), images: [] };
    expect((await delivery.send(draft, undefined)).draft).toBe(draft);
    expect(sent).toEqual([]);
  });

  test("Enter sends or breaks the line; Ctrl+Enter always sends, and nothing does while a word is chosen", () => {
    const pressed = {
      key: "Enter",
      shiftKey: false,
      ctrlKey: false,
      metaKey: false,
      altKey: false,
      isComposing: false,
    };
    const table = [
      pressed,
      { ...pressed, shiftKey: true },
      { ...pressed, ctrlKey: true },
      { ...pressed, metaKey: true },
    ];
    expect(table.map((event) => isSending("sends", event))).toEqual([true, false, true, true]);
    expect(table.map((event) => isSending("breaks", event))).toEqual([false, false, true, true]);
    expect(table.map((event) => isSending("sends", { ...event, isComposing: true }))).toEqual(Array(4).fill(false));
    expect(isSending("sends", { ...pressed, key: "a" })).toBe(false);
  });

  test.each([
    ["quarantined", /takes no prompts/],
    ["archived", /ends that/],
    ["stored", /if a template makes it/],
  ] as const)("of a %s session, the page tells what a prompt does", (state, words) => {
    expect(promptNote({ state })).toMatch(words);
    expect(promptNote(undefined)).toMatch(/has ended/);
    expect(promptNote({ state: "idle" })).toBeUndefined();
  });
});
