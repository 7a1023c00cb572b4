import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { extractContents, MOST_INLINE } from "../../../src/session/record/content.ts";

const hashOf = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");

test("extractContents: leaves what is small as it is", () => {
  const fields = { a: "x".repeat(MOST_INLINE), b: [1, null, true, { c: "d" }] };
  expect(extractContents(fields)).toMatchObject({ body: fields, contents: [] });
});

test("extractContents: takes out each string over 64 kB of UTF-8, at any depth, once", () => {
  const large = "é".repeat(MOST_INLINE / 2 + 1);
  const { body, contents } = extractContents({ prompt: large, input: { deep: [large, "small"] } });
  const reference = { $content: hashOf(large), size: MOST_INLINE + 2, mediaType: "text/plain" };
  expect(body).toEqual({ prompt: reference, input: { deep: [reference, "small"] } });
  expect(contents).toHaveLength(1);
  expect(Buffer.from(contents[0]?.data ?? []).toString()).toBe(large);
});

test("extractContents: takes out base64 data of any size as bytes, with its media type", () => {
  const png = Buffer.from([137, 80, 78, 71]);
  const output = [
    { type: "text", text: "see" },
    { type: "image", source: { type: "base64", media_type: "image/png", data: png.toString("base64") } },
  ];
  const { body, contents } = extractContents({ output });
  expect(body["output"]).toEqual([
    output[0],
    {
      type: "image",
      source: {
        type: "base64",
        media_type: "image/png",
        data: { $content: hashOf(png), size: 4, mediaType: "image/png" },
      },
    },
  ]);
  expect(contents).toEqual([{ hash: hashOf(png), mediaType: "image/png", data: png }]);
});

test("extractContents: takes out a whole field of many small parts that is over 64 kB as JSON", () => {
  const input = { rows: Array.from({ length: 3_000 }, (_, index) => `row number ${index}, of many`) };
  const { body, contents, size } = extractContents({ v: 1, input });
  const json = JSON.stringify(input);
  expect(body).toEqual({
    v: 1,
    input: { $content: hashOf(json), size: json.length, mediaType: "application/json" },
  });
  expect(Buffer.from(contents[0]?.data ?? []).toString()).toBe(json);
  expect(size).toBeLessThan(2 * MOST_INLINE);
});

test("extractContents: cuts a large string where no reference may be", () => {
  const large = "x".repeat(MOST_INLINE + 1);
  const { body, contents, size } = extractContents({ error: { code: "TURN_FAILED", message: large }, message: large });
  const cut = `${"x".repeat(16_384)}…`;
  expect(body).toEqual({ error: { code: "TURN_FAILED", message: cut }, message: cut });
  expect(contents).toEqual([]);
  expect(size).toBeLessThan(MOST_INLINE);
});

test("extractContents: takes out a large field that looks like a reference", () => {
  const input = {
    $content: "0".repeat(64),
    rows: Array.from({ length: 3_000 }, (_, index) => `row number ${index}, of many`),
  };
  expect(extractContents({ input }).body["input"]).toMatchObject({ $content: hashOf(JSON.stringify(input)) });
});

test("extractContents: keeps lone surrogates of a large text", () => {
  const large = `\ud800${"x".repeat(MOST_INLINE)}`;
  const { contents } = extractContents({ text: large });
  expect(contents[0]?.mediaType).toBe("application/json");
  expect(JSON.parse(Buffer.from(contents[0]?.data ?? []).toString())).toBe(large);
});

test("extractContents: survives input that nests too deeply, and keys like __proto__", () => {
  let deep: unknown = "bottom";
  for (let n = 0; n < 100_000; n++) deep = [deep];
  const { body } = extractContents({ input: deep, other: JSON.parse('{"__proto__": {"polluted": true}}') });
  expect(JSON.stringify(body["input"])).toContain("$omitted");
  expect(JSON.stringify(body["other"])).toBe('{"__proto__":{"polluted":true}}');
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});

test("extractContents: does not change what it is given, and leaves out what JSON cannot have", () => {
  const fields = { a: { b: undefined, c: Number.NaN, d: () => {} }, e: undefined };
  expect(extractContents(fields).body).toEqual({ a: { c: null } });
  expect(Object.keys(fields)).toEqual(["a", "e"]);
});
