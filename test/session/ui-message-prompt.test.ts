import type { FileUIPart, UIMessage } from "ai";
import { describe, expect, it } from "vitest";
import { type Prompt, uiMessagePrompt } from "../../src/index.ts";
import { promptText } from "../../src/session/options/prompt.ts";
import { thrown } from "../session-on-fake/scene.ts";
import { document, image, PNG, pdf } from "./prompt-contents.ts";

function message(...parts: UIMessage["parts"]): UIMessage {
  return { id: "m1", role: "user", parts };
}

const text = (words: string): UIMessage["parts"][number] => ({ type: "text", text: words });
const file = (mediaType: string, url: string, filename?: string): FileUIPart => ({
  type: "file",
  mediaType,
  url,
  ...(filename !== undefined && { filename }),
});

/** Returns the prompt, which a session accepts. */
function promptOf(given: UIMessage): Prompt {
  const prompt = uiMessagePrompt(given);
  promptText(prompt, true, "a");
  return prompt;
}

describe("uiMessagePrompt", () => {
  it("returns a message of one text as text", () => {
    expect(promptOf(message(text("/clear")))).toBe("/clear");
    expect(promptOf(message({ type: "step-start" }, text(" "), text("Hello")))).toBe("Hello");
    expect(uiMessagePrompt(message(text("")))).toBe("");
    expect(promptOf(message(text("one"), text("two")))).toEqual([
      { type: "text", text: "one" },
      { type: "text", text: "two" },
    ]);
  });

  it("returns files in data URLs as images, PDFs and text documents, by their data", () => {
    const given = message(
      text("Compare"),
      file("image", `data:image/jpeg;base64,${PNG}`, "a.jpg"),
      file("application/pdf", `DATA:application/pdf;name=a.pdf;BASE64,${pdf()}`, "Terms"),
      file("text/csv", `data:text/csv;charset=utf-8;base64,${btoa("a;b")}`, " "),
      file("text/plain", "data:,A%20brief%20note%2C%20%C3%A4", "note.txt"),
    );
    const source = { type: "text", media_type: "text/plain" };
    expect(promptOf(given)).toEqual([
      { type: "text", text: "Compare" },
      image,
      document(),
      { type: "document", source: { ...source, data: "a;b" } },
      { type: "document", source: { ...source, data: "A brief note, ä" }, title: "note.txt" },
    ]);
  });

  it("returns images and PDFs behind `https:` URLs as such", () => {
    const url = "https://example.com/a";
    const given = message(file("image/*", url), file("image", url), file("application/pdf", url, "Terms"));
    expect(promptOf(given)).toEqual([
      { type: "image", source: { type: "url", url } },
      { type: "image", source: { type: "url", url } },
      { type: "document", source: { type: "url", url }, title: "Terms" },
    ]);
  });

  it("accepts base64 without padding and with line breaks, as some encoders write it", () => {
    const data = `${PNG.slice(0, 60)}\n${PNG.slice(60).replaceAll("=", "")}`;
    expect(promptOf(message(file("image/png", `data:image/png;base64,${data}`)))).toEqual([image]);
  });

  it.each<[FileUIPart, string]>([
    [file("audio/mpeg", `data:audio/mpeg;base64,${btoa("ID3\x04\xff\xfb")}`), "parts.1.url"],
    [file("image/png", "data:image/png;base64"), "parts.1.url"],
    [file("image/png", "data:image/png;base64,"), "parts.1.url"],
    [file("text/plain", "data:text/plain,%ff"), "parts.1.url"],
    [file("image/png", "http://example.com/a.png"), "parts.1.url"],
    [file("image/png", "file:///etc/passwd"), "parts.1.url"],
    [file("image/png", "/etc/passwd"), "parts.1.url"],
    [file("image/png", "blob:https://example.com/1"), "parts.1.url"],
    [file("text/plain", "https://example.com/a.txt"), "parts.1.mediaType"],
  ])("rejects another file, and names its part (%#)", async (part, field) => {
    const error = await thrown(() => uiMessagePrompt(message(text("Listen"), part)), "INVALID_OPTIONS");
    expect(error.details.problems.map((problem) => problem.field)).toEqual([field]);
    expect(error.message).not.toContain("passwd");
  });

  it.each<unknown>([undefined, null, "hi", {}, { parts: "hi" }, { parts: [null] }, { parts: [{ type: "text" }] }])(
    "rejects what a page sends instead of a message (%#)",
    async (given) => {
      await thrown(() => uiMessagePrompt(given as UIMessage), "INVALID_OPTIONS");
    },
  );
});
