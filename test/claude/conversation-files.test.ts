import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { conversationFiles, filesAt, linesOf, removePath } from "../../src/claude/conversation-files.ts";

const [MINE, ALSO, OTHER] = ["1", "2", "3"].map((n) => `${n.repeat(8)}-0000-4000-8000-000000000000`) as [
  string,
  string,
  string,
];
const UID = process.getuid?.() ?? 0;

let root: string;
let config: string;

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "castellan-files-")));
  config = join(root, "config");
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
});

function write(path: string, text = "x"): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return path;
}

async function found(ids: readonly string[], configs: readonly string[] = [config]): Promise<string[]> {
  const paths = await conversationFiles({ ids, configs, temporary: [root] });
  return paths.map(({ path }) => relative(root, path)).toSorted();
}

describe("conversationFiles() and removePath()", () => {
  it("find all files that Claude Code names by the ids, and no others", async () => {
    const mine = [
      write(`config/projects/-work/${MINE}.jsonl`),
      write(`config/projects/-work-tree/${ALSO}.jsonl.part`),
      write(`config/tasks/${MINE}/1.json`).slice(0, -"/1.json".length),
      write(`config/debug/${MINE}.txt`),
      write(`config/file-history/${ALSO}/abc@v1`).slice(0, -"/abc@v1".length),
      write(`config/todos/${MINE}-agent-${OTHER}.json`),
      write(`claude-${UID}/-work/${MINE}/tasks/b1.output`).slice(0, -"/tasks/b1.output".length),
      write(`claude-resume-1/projects/-work/${MINE}.jsonl`),
    ];
    write(`config/projects/-work/${OTHER}.jsonl`);
    write(`config/projects/-work/memory/MEMORY.md`);
    write(`config/castellan-locks/${MINE}`);
    write(`config/${MINE}`);
    write(`config/history.jsonl`, MINE);
    expect(await found([MINE, ALSO])).toEqual(mine.toSorted());
    expect(await found([OTHER])).toEqual([`config/projects/-work/${OTHER}.jsonl`]);
  });

  it("find nothing for an invalid or unknown id", async () => {
    write(`config/projects/-work/${OTHER}.jsonl`);
    expect(await found(["", "..", ".", "*", "projects", OTHER.slice(0, 35), `${OTHER}/..`])).toEqual([]);
    expect(await found([MINE])).toEqual([]);
    expect(await found([MINE], [join(root, "nowhere")])).toEqual([]);
    expect(await found([])).toEqual([]);
  });

  it("find plans by the slugs of the transcripts' entries, and not by text about them", async () => {
    const line = (entry: object): string => `${JSON.stringify(entry)}\n`;
    const said = [
      line({ type: "user", slug: "mine-calm-owl" }),
      line({ type: "user", message: { content: '"slug":"theirs"' }, toolUse: { slug: "theirs" } }),
      line({ type: "user", slug: "../projects" }),
      '{"slug":"half',
    ];
    write(`config/projects/-work/${MINE}.jsonl`, said.join(""));
    write(`config/projects/-work/${MINE}/subagents/agent-a.jsonl`, line({ slug: "mine-agent-slug" }));
    write("config/plans/theirs.md");
    write("config/plans/mine-calm-owl-2.md");
    const plans = ["mine-calm-owl.md", "mine-calm-owl-agent-7.md", "mine-agent-slug.md"];
    for (const plan of plans) write(`config/plans/${plan}`);
    const expected = [...plans.map((plan) => `config/plans/${plan}`)];
    expect((await found([MINE])).filter((path) => path.includes("plans"))).toEqual(expected.toSorted());
  });

  it("remove a path with everything below, without following links", async () => {
    write("outside/kept");
    write(`config/projects/-work/${MINE}/tool-results/a.txt`);
    write(`config/projects/-work/${MINE}/b.txt`);
    symlinkSync(join(root, "outside"), join(config, "projects/-work", MINE, "link"));
    symlinkSync(join(root, "outside"), join(config, "linked"));
    write(`outside/${MINE}`);
    const path = join(config, "projects/-work", MINE);
    expect(await found([MINE])).toEqual([relative(root, path)]);
    expect((await filesAt(path)).map((file) => relative(path, file))).toEqual(["b.txt", "tool-results/a.txt"]);
    expect(await filesAt(join(path, "link"))).toEqual([]);
    expect(await removePath(path)).toBe(3);
    expect(await removePath(path)).toBe(0);
    expect(existsSync(join(root, "outside/kept"))).toBe(true);
    expect(await removePath(join(root, `outside/${MINE}`))).toBe(1);
  });

  it("read a file line by line, and none of a missing file", async () => {
    write("a.jsonl", "one\ntwo\r\nthree");
    expect(await Array.fromAsync(linesOf(join(root, "a.jsonl")))).toEqual(["one", "two", "three"]);
    expect(await Array.fromAsync(linesOf(join(root, "none")))).toEqual([]);
    expect(await Array.fromAsync(linesOf(root))).toEqual([]);
  });
});
