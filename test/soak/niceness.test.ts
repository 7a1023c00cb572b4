import { readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Supervisor } from "../../src/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

it.skipIf(process.platform === "win32")(
  "niceness: applies to the session's process and to its tools' commands, also after a restart",
  async () => {
    await using api = await mockApi();
    const file = join(api.cwd, "niceness");
    api.reply(
      ({ messages }) => messages.at(-1)?.role === "user" && messages.at(-1)?.text === "measure",
      () => ({ toolUses: [{ name: "Bash", input: { command: `nice >> ${file}`, description: "Measure" } }] }),
    );
    const name = unique();
    await using supervisor = await Supervisor.start([{ name, niceness: 5, allowedTools: ["Bash"] }], {
      journal: "memory",
      defaults: { env: api.env, cwd: api.cwd },
    });
    const session = supervisor.session(name);
    await session.query("measure");
    const { pid } = session.status();
    expect(getPriority(pid)).toBe(getPriority() + 5);
    await session.restart();
    await session.query("measure");
    const niceness = String(getPriority() + 5);
    expect(readFileSync(file, "utf8").split("\n")).toEqual([niceness, niceness, ""]);
  },
);
