import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { command, Supervisor } from "../../src/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { eventually, failure, unique } from "../session-on-fake/scene.ts";

let api: MockApi;

beforeEach(async () => {
  api = await mockApi();
});

afterEach(() => api.stop());

/** Returns what the skill's shell command has written: a line for each run. */
function written(file: string): string {
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

describe("a shell command in the text of a skill", () => {
  it.each([
    ["called by its name", command("deploy")],
    ["used by Claude", "Use the skill."],
  ])("does not run a second time when its process dies (%s)", async (_, prompt) => {
    const file = join(api.cwd, "deployed");
    const skill = join(api.cwd, ".claude/skills/deploy");
    await mkdir(skill, { recursive: true });
    const script = `echo once >> ${file}; tail -f /dev/null`;
    await writeFile(
      join(skill, "SKILL.md"),
      `---\nname: deploy\ndescription: deploys\nallowed-tools: Bash\n---\nState: !\`${script}\`\n`,
    );
    api.reply("Use the skill.", { toolUses: [{ name: "Skill", input: { skill: "deploy" } }] });
    const name = unique();
    const options = {
      env: api.env,
      cwd: api.cwd,
      settingSources: ["project" as const],
      allowedTools: ["Bash", "Skill"],
    };
    await using supervisor = await Supervisor.start([{ name, ...options }]);
    const session = supervisor.session(name);
    const turn = failure(session.query(prompt), "TURN_INTERRUPTED");
    await eventually(() => written(file) !== "");
    const { pid = Number.NaN } = session.status();
    process.kill(pid, "SIGKILL");
    await turn;
    expect((await session.query("Hello.")).text).toBe("You said: Hello.");
    expect(written(file)).toBe("once\n");
  });
});
