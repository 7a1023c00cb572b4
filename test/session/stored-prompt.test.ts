import fc from "fast-check";
import { expect, test } from "vitest";
import type { PromptBlock } from "../../src/index.ts";
import type { ContentEntry } from "../../src/journal/model/event-entry.ts";
import type { PromptKind } from "../../src/journal/model/turn-entry.ts";
import type { PromptText } from "../../src/session/options/prompt.ts";
import { textOf } from "../../src/session/options/prompt-blocks.ts";
import { hashesIn, isOf, loadPrompt, smallPartOf, storedPrompt } from "../../src/session/persistence/stored-prompt.ts";
import { failure } from "../session-on-fake/scene.ts";
import { document, image, PNG } from "./prompt-contents.ts";

const look: PromptBlock = { type: "text", text: "What is this?" };

function held({ text: prompt, kind: promptKind, blocks: promptBlocks }: PromptText) {
  return { prompt, promptKind, promptBlocks };
}

function ofText(text: string, kind: PromptKind = "text"): PromptText {
  return { text, kind };
}

function ofBlocks(...blocks: readonly PromptBlock[]): PromptText {
  return { text: textOf(blocks), kind: "text", blocks };
}

/** Stores a prompt and loads it again. */
async function through(prompt: PromptText) {
  const { row, contents } = storedPrompt(held(prompt));
  const byHash = new Map(contents.map((content) => [content.hash, content]));
  const read = async (hash: string): Promise<ContentEntry | undefined> => byHash.get(hash);
  expect((await hashesIn(row, read)).toSorted()).toEqual([...byHash.keys()].toSorted());
  return { row, contents, loaded: await loadPrompt({ id: "t1", ...row }, read) };
}

test("storedPrompt: leaves a small text as it is", async () => {
  for (const text of ["hi", '{"$content":"x"}', "[]", "\uD83D\u0000"]) {
    const { row, contents, loaded } = await through(ofText(text));
    expect([row, contents, loaded]).toEqual([{ prompt: text }, [], ofText(text)]);
  }
  expect((await through(ofText("/x", "typed"))).row).toEqual({ prompt: "/x", promptKind: "typed" });
});

test("storedPrompt: takes out large texts and all binary data, and loadPrompt puts them back", async () => {
  const large = "ä".repeat(50_000);
  const prompts: readonly PromptText[] = [
    ofText(large),
    ofText(large, "command"),
    ofText(`\uD83D${large}`, "typed"),
    ofBlocks(look, image, document(), { type: "text", text: large }),
    ofBlocks({ type: "document", source: { type: "text", media_type: "text/plain", data: large } }),
    ofBlocks({ type: "document", source: { type: "content", content: [look, image] }, citations: { enabled: true } }),
    // Many small blocks, which are large together.
    ofBlocks(
      ...Array.from({ length: 900 }, (_, n) => [
        { type: "text" as const, text: `${n} ${"x".repeat(90)}` },
        image,
      ]).flat(),
    ),
  ];
  for (const prompt of prompts) {
    const { row, contents, loaded } = await through(prompt);
    expect(loaded).toEqual(prompt);
    expect(row.promptKind).toBe(`${prompt.kind}_json`);
    expect(row.prompt.length).toBeLessThan(2_000);
    expect(row.prompt).not.toContain(PNG);
    expect(isOf(row, held(prompt))).toBe(true);
    expect(prompts.filter((other) => isOf(row, held(other)))).toEqual([prompt]);
    expect(contents.length).toBeGreaterThan(0);
  }
});

test("storedPrompt: takes out the same data under the same hash from every prompt", async () => {
  const [one, other] = [storedPrompt(held(ofBlocks(image, look))), storedPrompt(held(ofBlocks(document(), image)))];
  expect(one.contents).toHaveLength(1);
  expect(other.contents.map(({ hash }) => hash)).toContain(one.contents[0]?.hash);
});

test("isOf: knows a large text that an earlier release stored as text", () => {
  const large = "x".repeat(100_000);
  expect(isOf({ prompt: large }, held(ofText(large)))).toBe(true);
  expect(isOf({ prompt: large, promptKind: "typed" }, held(ofText(large)))).toBe(false);
  expect(isOf({ prompt: "What is this?" }, held(ofBlocks(look)))).toBe(false);
});

test("loadPrompt: says which content of which turn is gone", async () => {
  const { row } = storedPrompt(held(ofBlocks(image)));
  const error = await failure(
    loadPrompt({ id: "t1", ...row }, async () => undefined),
    "JOURNAL_UNAVAILABLE",
  );
  expect(error.details).toEqual({ reason: "damaged" });
  expect(error.message).toMatch(/content [\da-f]{64} of the prompt of turn t1/);
});

test("smallPartOf: has the beginning of the text", () => {
  expect(smallPartOf(storedPrompt(held(ofBlocks(look, image, look))).row)).toEqual(
    ofText("What is this?\nWhat is this?"),
  );
  expect(smallPartOf(storedPrompt(held(ofText("x".repeat(70_000), "typed"))).row)).toEqual(
    ofText("x".repeat(1_000), "typed"),
  );
});

test("storedPrompt: no text is changed on the way", async () => {
  const text = fc.tuple(fc.string({ unit: "binary" }), fc.constantFrom(1, 8_000)).map(([unit, n]) => unit.repeat(n));
  const property = fc.asyncProperty(
    text.filter((one) => one.trim() !== "" && one.length < 150_000),
    async (one) => {
      expect((await through(ofText(one))).loaded).toEqual(ofText(one));
      const prompt = ofBlocks({ type: "text", text: one }, image);
      expect((await through(prompt)).loaded).toEqual(prompt);
    },
  );
  await fc.assert(property, { numRuns: 25 });
});
