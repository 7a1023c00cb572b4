import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { mockApi } from "../../src/testing/index.ts";
import { PINNED, SDK } from "../sdk-releases/published.ts";
import { BareSession } from "../testing/bare-session.ts";

test("the tests run on the expected release of the Agent SDK, and on its own Claude Code", async () => {
  const folder = dirname(createRequire(import.meta.url).resolve(SDK));
  const sdk = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as {
    readonly version: string;
    readonly claudeCodeVersion: string;
  };
  expect(sdk.version).toBe(process.env["AGENT_SDK_EXPECTED"] ?? PINNED);
  await using api = await mockApi();
  await using session = new BareSession({ env: { ...api.env }, cwd: api.cwd });
  await session.ask("Hello.");
  const begin = session.messages.find((message) => message.type === "system" && message.subtype === "init");
  expect(begin).toMatchObject({ claude_code_version: sdk.claudeCodeVersion });
});
