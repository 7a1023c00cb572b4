import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bringTranscript } from "../../src/claude/bring-transcript.ts";
import { type TranscriptLocation, transcriptAt, transcriptFolderOf } from "../../src/claude/transcript-location.ts";

const ID = "7b0f3a52-0000-4000-8000-000000000001";

let root: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "castellan-bring-")));
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

function placeAt(config: string, cwd: string): TranscriptLocation {
  return { config: join(root, config), cwd: join(root, cwd) };
}

async function write(file: string, text: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text, { mode: 0o600 });
  return file;
}

/** Writes a transcript into the folder of `place`. */
async function transcript(place: TranscriptLocation, text: string): Promise<string> {
  return await write(join(await transcriptFolderOf(place), `${ID}.jsonl`), text);
}

async function read(place: TranscriptLocation): Promise<string | undefined> {
  const file = await transcriptAt(ID, place);
  return file === undefined ? undefined : await readFile(file, "utf8");
}

/** Reads all files under a directory. */
async function contents(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const texts = await Promise.all(files.map((file) => readFile(file, "utf8")));
  return Object.fromEntries(files.map((file, index) => [file.slice(folder.length + 1), texts[index] ?? ""]));
}

describe("bringTranscript", () => {
  it("copies nothing within one configuration directory", async () => {
    const [from, to] = [placeAt("config", "a"), placeAt("config", "b")];
    await transcript(from, "1\n");
    const before = await contents(root);
    expect(await bringTranscript(ID, from, from)).toBe("in_place");
    expect(await bringTranscript(ID, from, to)).toBe("in_place");
    expect(await contents(root)).toEqual(before);
  });

  it("copies the transcript and its files into another configuration directory", async () => {
    const [from, to] = [placeAt("one", "a"), placeAt("two", "b")];
    const source = await transcript(from, "1\n2\n");
    const folder = join(dirname(source), ID);
    await write(join(folder, "subagents", "agent-1.jsonl"), "sub");
    await write(join(folder, "tool-results", "r.txt"), "long");
    await write(join(from.config, "file-history", ID, "f@v1"), "as it was");
    await write(join(from.config, "file-history", "another", "f@v1"), "not its own");
    const before = await contents(from.config);

    expect(await bringTranscript(ID, from, to)).toBe("copied");

    const own = (await transcriptFolderOf(to)).slice(to.config.length + 1);
    expect(await contents(to.config)).toEqual({
      [join(own, `${ID}.jsonl`)]: "1\n2\n",
      [join(own, ID, "subagents", "agent-1.jsonl")]: "sub",
      [join(own, ID, "tool-results", "r.txt")]: "long",
      [join("file-history", ID, "f@v1")]: "as it was",
    });
    expect(await contents(from.config)).toEqual(before);
    expect((await stat(join(to.config, own, `${ID}.jsonl`))).mode & 0o777).toBe(0o600);
    expect((await stat(to.config)).mode & 0o777).toBe(0o700);
    expect(await bringTranscript(ID, from, to)).toBe("in_place");
  });

  it("copies it back over an older copy", async () => {
    const [one, two] = [placeAt("one", "a"), placeAt("two", "a")];
    const left = await transcript(one, "1\n");
    await write(join(dirname(left), ID, "subagents", "agent-1.jsonl"), "s");
    await bringTranscript(ID, one, two);
    const moved = await transcript(two, "1\n2\n");
    await write(join(dirname(moved), ID, "subagents", "agent-1.jsonl"), "sub");
    expect(await bringTranscript(ID, two, one)).toBe("copied");
    expect(await read(one)).toBe("1\n2\n");
    expect(await readFile(join(dirname(left), ID, "subagents", "agent-1.jsonl"), "utf8")).toBe("sub");
  });

  it("copies it back to its former folder, so that there are not two", async () => {
    const [one, two, third] = [placeAt("one", "a"), placeAt("two", "b"), placeAt("one", "c")];
    await transcript(one, "1\n");
    await transcript(two, "1\n2\n");
    expect(await bringTranscript(ID, two, third)).toBe("copied");
    expect(await read(one)).toBe("1\n2\n");
    expect(await read(third)).toBe("1\n2\n");
  });

  it("leaves a longer transcript alone", async () => {
    const [from, to] = [placeAt("one", "a"), placeAt("two", "a")];
    await transcript(from, "1\n");
    await transcript(to, "1\n2\n");
    expect(await bringTranscript(ID, from, to)).toBe("in_place");
    expect(await read(to)).toBe("1\n2\n");
  });

  it("leaves a diverged transcript alone", async () => {
    const [from, to] = [placeAt("one", "a"), placeAt("two", "a")];
    await transcript(from, "1\n2\n3\n");
    await transcript(to, "1\n4\n");
    expect(await bringTranscript(ID, from, to)).toBe("diverged");
    expect(await read(to)).toBe("1\n4\n");
  });

  it('returns "missing" for no transcript, and "in_place" for one at the target', async () => {
    const [from, to] = [placeAt("one", "a"), placeAt("two", "a")];
    expect(await bringTranscript(ID, from, to)).toBe("missing");
    await transcript(to, "1\n");
    expect(await bringTranscript(ID, from, to)).toBe("in_place");
  });

  it("copies where Claude Code finds two transcripts and takes neither", async () => {
    const [from, twin, to] = [placeAt("config", "a"), placeAt("config", "b"), placeAt("config", "c")];
    await transcript(from, "1\n2\n");
    await transcript(twin, "another\n");
    expect(await read(to)).toBeUndefined();
    expect(await bringTranscript(ID, from, to)).toBe("copied");
    expect(await read(to)).toBe("1\n2\n");
  });

  it("leaves nothing half done when it fails", async () => {
    const [from, to] = [placeAt("one", "a"), placeAt("two", "a")];
    await transcript(from, "1\n");
    const folder = await transcriptFolderOf(to);
    await write(dirname(folder), "a file where a folder is to be");
    await expect(bringTranscript(ID, from, to)).rejects.toThrow("ENOTDIR");
    await rm(dirname(folder));
    // A file cannot overwrite a directory.
    await mkdir(join(folder, `${ID}.jsonl`, "in the way"), { recursive: true });
    await expect(bringTranscript(ID, from, to)).rejects.toThrow();
    expect(await readdir(folder)).toEqual([`${ID}.jsonl`]);
  });

  it("resolves a link to the same directory", async () => {
    const from = placeAt("config", "a");
    await transcript(from, "1\n");
    await symlink(from.config, join(root, "link"));
    expect(await bringTranscript(ID, from, placeAt("link", "a"))).toBe("in_place");
  });
});
