import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { fileBlock } from "../../src/index.ts";
import { promptText } from "../../src/session/options/prompt.ts";
import { failure } from "../session-on-fake/scene.ts";
import { document, image, PNG, pdf } from "./prompt-contents.ts";

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "castellan-file-"));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

function file(name: string, content: string | Buffer): string {
  const path = join(folder(), name);
  writeFileSync(path, content);
  return path;
}

it("fileBlock: makes an image, a PDF or a text document by the content of the file", async () => {
  const png = file("photo.jpg", Buffer.from(PNG, "base64"));
  const contract = file("contract.pdf", Buffer.from(pdf(), "base64"));
  const notes = file("notes.csv", "a;b\nä;2\n");
  const blocks = [await fileBlock(png), await fileBlock(contract), await fileBlock(notes, { title: "Figures" })];
  expect(blocks).toEqual([
    image,
    { ...document(), title: "contract.pdf" },
    { type: "document", source: { type: "text", media_type: "text/plain", data: "a;b\nä;2\n" }, title: "Figures" },
  ]);
  expect(promptText(blocks, true, "a").blocks).toEqual(blocks);
  rmSync(png);
  expect(blocks[0]).toEqual(image);
});

it.each<[string, () => string, string]>([
  ["a missing file", () => join(folder(), "none"), "cannot be read (ENOENT)"],
  ["a folder", folder, "is not a file"],
  ["an empty file", () => file("empty", ""), "is empty"],
  ["a blank file", () => file("blank.txt", "\n \n"), "is empty"],
  ["a binary file", () => file("a.zip", Buffer.from("PK\x03\x04\xff\xfe", "latin1")), "is not JPEG, PNG"],
  ["a text with NUL", () => file("a.bin", "a\0b"), "is not JPEG, PNG"],
  ["a path with NUL", () => "a\0b", "cannot be read (ERR_INVALID_ARG_VALUE)"],
])("fileBlock: rejects %s", async (_, path, words) => {
  const error = await failure(fileBlock(path()), "INVALID_OPTIONS");
  expect(error.details.problems[0]?.field).toBe("path");
  expect(error.message).toContain(words);
});

it("fileBlock: rejects a file that is too large without reading it, and takes the largest", async () => {
  const path = file("large.pdf", Buffer.from(pdf(), "base64"));
  truncateSync(path, 14_900_000);
  const block = await fileBlock(path);
  expect(promptText([block], true, "a").blocks).toEqual([block]);
  truncateSync(path, 8 * 1024 ** 4);
  expect((await failure(fileBlock(path), "INVALID_OPTIONS")).message).toContain("at most 15000000 are allowed");
});

it.skipIf(process.platform === "win32")("fileBlock: does not wait for the writer of a pipe", async () => {
  const path = join(folder(), "pipe");
  execFileSync("mkfifo", [path]);
  expect((await failure(fileBlock(path), "INVALID_OPTIONS")).message).toContain("is not a file");
});
