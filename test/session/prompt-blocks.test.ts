import { describe, expect, it } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { promptText } from "../../src/session/options/prompt.ts";
import { document, image, PNG, pdf } from "./prompt-contents.ts";

const WHO = 'session "a"';
const text = { type: "text", text: "What is this?" };
const url = (address: string) => ({ type: "image", source: { type: "url", url: address } });
const coded = (type: string, mediaType: string, data: string) => ({
  type,
  source: { type: "base64", media_type: mediaType, data },
});
const base64 = (bytes: string) => Buffer.from(bytes, "latin1").toString("base64");

/** Returns what is wrong with a prompt, as `field: message`. */
function problems(prompt: unknown, verbatim = true): string[] {
  try {
    promptText(prompt, verbatim, WHO);
  } catch (error) {
    if (!CastellanError.is(error, "INVALID_OPTIONS")) throw error;
    expect(error.message).toContain(`turn of ${WHO}`);
    return error.details.problems.map(({ field, message }) => `${field}: ${message}`);
  }
  return [];
}

describe("promptText", () => {
  it("takes content blocks of each kind, and returns a frozen copy", () => {
    const blocks = [
      text,
      image,
      url("https://example.com/a.png"),
      { type: "image", source: { type: "file", file_id: "file_1" } },
      document(),
      { type: "document", source: { type: "text", media_type: "text/plain", data: "@/etc/passwd" }, context: null },
      { type: "document", source: { type: "content", content: "text" }, citations: { enabled: true } },
      { type: "document", source: { type: "content", content: [text, image] } },
      { type: "document", source: { type: "url", url: "https://example.com/a.pdf" } },
      coded("image", "image/jpeg", base64("\xff\xd8\xff\xe0")),
      coded("image", "image/gif", base64("GIF89a")),
      coded("image", "image/webp", base64("RIFF\n\0\0\0WEBP")),
      { type: "text", text: "/model opus" },
    ];
    const asked = promptText(blocks, true, WHO);
    expect(asked).toEqual({ text: "What is this?\n/model opus", kind: "text", blocks });
    expect(asked.blocks).not.toBe(blocks);
    expect(() => Object.assign(asked.blocks?.[1] ?? {}, { source: text })).toThrow("read only");
    // Blocks that are checked already are not copied again.
    expect(promptText(asked.blocks, true, WHO).blocks).toBe(asked.blocks);
  });

  it.each<[unknown, string]>([
    [[], "prompt: is empty"],
    [["hi"], "prompt.0: expected a block of the type `text`, `image` or `document`"],
    [[text, null], "prompt.1: expected a block of the type `text`, `image` or `document`"],
    [[text, { type: "tool_result", tool_use_id: "1" }], "prompt.1.type: expected a block of the type"],
    [[{ type: "text", text: " \n" }], "prompt.0.text: is blank; leave the block out"],
    [[{ type: "text", text: 7 }], "prompt.0.text: expected text"],
    [[{ ...text, cache_control: { type: "ephemeral" } }], "prompt.0.cache_control: is not a field of such a block"],
    [[{ type: "image", source: { type: "path", path: "/x" } }], "prompt.0.source.type: expected a source of the type"],
    [[{ type: "image", source: { type: "file", file_id: "" } }], "prompt.0.source.file_id: expected the id"],
    [[url("http://example.com/a.png")], "prompt.0.source.url: expected a URL that begins with `https://`"],
    [[url("file:///etc/passwd")], "prompt.0.source.url: expected a URL that begins with `https://`"],
    [[coded("image", "image/bmp", "Qk0=")], "prompt.0.source.media_type: expected `image/jpeg`"],
    [[coded("document", "image/png", PNG)], "prompt.0.source.media_type: expected `application/pdf`"],
    [[text, coded("image", "image/png", "")], "prompt.1.source.data: is empty"],
    [[coded("image", "image/png", `${PNG.slice(0, 40)}\n${PNG.slice(40)}`)], "prompt.0.source.data: is not base64"],
    [[coded("image", "image/png", PNG.replace(/=+$/, ""))], "prompt.0.source.data: is not base64"],
    [[coded("image", "image/png", `data:image/png;base64,${PNG}`)], "prompt.0.source.data: is not base64"],
    [[coded("image", "image/png", base64("<svg/>"))], "prompt.0.source.data: is not of the type `image/png`"],
    [[coded("image", "image/jpeg", PNG)], "data: is `image/png`, but `media_type` is `image/jpeg`"],
    [[coded("document", "application/pdf", PNG)], "data: is `image/png`, but `media_type` is `application/pdf`"],
    [[text, document(16_000_000)], "prompt.1: has 21333341 characters; a prompt may have at most 20000000"],
    [[document(8_000_000), document(8_000_000)], "prompt: has more than 20000000 characters"],
    [Array.from({ length: 1_001 }, () => text), "prompt: has 1001 blocks; at most 1000 are allowed"],
    [Array.from({ length: 601 }, () => url("https://a.b")), "prompt: has 601 images; at most 600 are allowed"],
  ])("rejects invalid blocks, and names the block and what is wrong with it (%#)", (prompt, words) => {
    const [only = "", ...others] = problems(prompt);
    expect(only).toContain(words);
    expect(others).toEqual([]);
    expect(only.length).toBeLessThan(200);
  });

  it("names each invalid block", () => {
    expect(problems([{ type: "text" }, text, url("x"), { ...image, title: "no" }])).toEqual([
      "prompt.0.text: expected text",
      "prompt.2.source.url: expected a URL that begins with `https://`",
      "prompt.3.title: is not a field of such a block",
    ]);
  });

  it("rejects an invalid block inside a document, and a large image there", () => {
    const inside = (content: unknown) => [{ type: "document", source: { type: "content", content } }];
    expect(problems(inside([text, { type: "document", source: {} }]))).toEqual([
      "prompt.0.source.content.1.type: expected a block of the type `text` or `image`",
    ]);
    expect(problems(inside(7))).toEqual([expect.stringContaining("prompt.0.source.content: ")]);
    const large = Buffer.concat([Buffer.from(PNG, "base64"), Buffer.alloc(5 * 1024 ** 2)]).toString("base64");
    expect(problems(inside([coded("image", "image/png", large)]))).toEqual([
      expect.stringMatching(/^prompt\.0\.source\.content\.0\.source\.data: has \d+ bytes; an image inside a document/),
    ]);
    expect(problems([coded("image", "image/png", large)])).toEqual([]);
  });

  it("does not show the content of a block in an error", () => {
    const secret = [{ type: "text", text: { secret: "s3cr3t" } }, coded("image", "image/png", "s3cr3t"), url("s3cr3t")];
    expect(problems(secret).join()).not.toContain("s3cr3t");
  });

  it("without `verbatim`, finds a controlled command where Claude Code looks for one: in the last block", () => {
    const model = { type: "text", text: "/model opus" };
    expect(problems([image, model], false).join()).toContain("setModel()");
    expect(problems([model, text], false)).toEqual([]);
    expect(problems([model, image], false)).toEqual([]);
    expect(promptText([text, image], false, WHO).kind).toBe("typed");
  });

  it("accepts a PDF whose header is not at its beginning", () => {
    expect(problems([coded("document", "application/pdf", base64(`\n\n${atob(pdf())}`))])).toEqual([]);
  });
});
