import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { localTranscripts } from "../../src/claude/local-transcripts.ts";
import {
  findTranscript,
  transcriptAt,
  transcriptFolderOf,
  transcriptLocationOf,
} from "../../src/claude/transcript-location.ts";

const ID = "7b0f3a52-0000-4000-8000-000000000001";

let root: string;
let work: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "castellan-place-")));
  work = join(root, "work");
  await mkdir(work);
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

/** Writes a transcript into this folder of `config`. */
async function transcript(config: string, folder: string, id = ID): Promise<string> {
  await mkdir(join(config, "projects", folder), { recursive: true });
  const file = join(config, "projects", folder, `${id}.jsonl`);
  await writeFile(file, `{"type":"user","uuid":"${folder}"}\n`);
  return file;
}

describe("transcriptLocationOf", () => {
  it("is the same however the directories are named", async () => {
    const config = join(root, "config");
    await mkdir(config);
    await Promise.all([symlink(work, join(root, "link")), symlink(config, join(root, "config-link"))]);
    const place = { cwd: work, config };
    for (const cwd of [work, `${work}/`, `${work}/../work`, join(root, "link"), relative(process.cwd(), work)]) {
      for (const path of [config, `${config}/`, join(root, "config-link"), "../config"]) {
        expect(await transcriptLocationOf(cwd, { CLAUDE_CONFIG_DIR: path })).toEqual(place);
      }
    }
  });

  it("works for missing directories, and stays the same once they exist", async () => {
    await mkdir(join(root, "real"));
    await symlink(join(root, "real"), join(root, "link"));
    const make = () =>
      transcriptLocationOf(join(root, "link", "a", "b"), { CLAUDE_CONFIG_DIR: join(root, "link", "c") });
    const place = await make();
    expect(place).toEqual({ cwd: join(root, "real", "a", "b"), config: join(root, "real", "c") });
    await Promise.all([place.cwd, place.config].map((path) => mkdir(path, { recursive: true })));
    expect(await make()).toEqual(place);
  });

  it.each([
    ["in HOME", { HOME: "/nowhere/home" }, () => "/nowhere/home/.claude"],
    [
      "of CLAUDE_CONFIG_DIR before HOME",
      { HOME: "/nowhere/home", CLAUDE_CONFIG_DIR: "/nowhere/config" },
      () => "/nowhere/config",
    ],
    ["in a relative HOME", { HOME: "home" }, () => join(work, "home", ".claude")],
    ["of an empty CLAUDE_CONFIG_DIR, the working directory", { HOME: "/nowhere", CLAUDE_CONFIG_DIR: "" }, () => work],
    ["in the user's home without HOME", {}, () => join(userInfo().homedir, ".claude")],
    ["in the user's home for an empty HOME", { HOME: "" }, () => join(userInfo().homedir, ".claude")],
  ])("uses the directory %s", async (_, environment, config) => {
    expect((await transcriptLocationOf(work, environment)).config).toBe(config());
  });
});

describe("findTranscript", () => {
  it("returns undefined without a transcript", async () => {
    expect(await findTranscript(ID, join(root, "none"), "own")).toBeUndefined();
    await transcript(root, "own", "7b0f3a52-0000-4000-8000-000000000002");
    expect(await findTranscript(ID, root, "own")).toBeUndefined();
  });

  it("looks into its own folder first, and then into all others", async () => {
    const other = await transcript(root, "other");
    await mkdir(join(root, "projects", "empty"));
    expect(await findTranscript(ID, root, "own")).toBe(other);
    const own = await transcript(root, "own");
    expect(await findTranscript(ID, root, "own")).toBe(own);
  });

  it("returns undefined for two in other folders", async () => {
    await transcript(root, "one");
    await transcript(root, "two");
    expect(await findTranscript(ID, root, "own")).toBeUndefined();
  });

  it("follows a link to its own folder, and no other links", async () => {
    const file = await transcript(join(root, "elsewhere"), "folder");
    await mkdir(join(root, "projects"));
    await symlink(join(file, ".."), join(root, "projects", "linked"));
    expect(await findTranscript(ID, root, "own")).toBeUndefined();
    expect(await findTranscript(ID, root, "linked")).toBe(join(root, "projects", "linked", `${ID}.jsonl`));
  });
});

describe("transcriptFolderOf", () => {
  it("is named like the working directory as by Claude Code, also for a very long path", async () => {
    const config = join(root, "config");
    expect(await transcriptFolderOf({ cwd: work, config })).toBe(
      join(config, "projects", work.replace(/[^a-zA-Z0-9]/g, "-")),
    );
    const long = await transcriptFolderOf({ cwd: join(work, "x".repeat(120), "y".repeat(120)), config });
    const name = long.slice(join(config, "projects", "/").length);
    expect(name.startsWith(join(work, "xxx").replace(/[^a-zA-Z0-9]/g, "-"))).toBe(true);
    expect(name.length).toBeLessThan(255);
  });

  it("is where transcriptAt() looks first", async () => {
    const place = { cwd: work, config: root };
    await transcript(root, "other");
    const own = await transcript(root, (await transcriptFolderOf(place)).slice(join(root, "projects", "/").length));
    expect(await transcriptAt(ID, place)).toBe(own);
  });
});

describe("localTranscripts", () => {
  const key = { projectKey: "own", sessionId: ID };

  it("loads a transcript and its subpaths, without half a line of a killed process", async () => {
    const store = localTranscripts({ cwd: work, config: root });
    expect(await store.load(key)).toBeNull();
    const file = await transcript(root, "other");
    await writeFile(file, '{"type":"user","uuid":"a"}\n{"type":"user","uuid":"b"}\n{"type":"us');
    expect(await store.load(key)).toEqual([
      { type: "user", uuid: "a" },
      { type: "user", uuid: "b" },
    ]);
    await mkdir(join(root, "projects", "other", ID, "subagents"), { recursive: true });
    await writeFile(join(root, "projects", "other", ID, "subagents", "agent-1.jsonl"), '{"type":"user","uuid":"c"}\n');
    expect(await store.load({ ...key, subpath: "subagents/agent-1" })).toEqual([{ type: "user", uuid: "c" }]);
    expect(await store.load({ ...key, subpath: "subagents/agent-2" })).toBeNull();
  });

  it("rejects writes", async () => {
    await expect(localTranscripts({ cwd: work, config: root }).append(key, [])).rejects.toThrow("read-only");
  });
});
