import { mkdir, mkdtemp, realpath, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Supervisor, template } from "castellan";
import { type MessagesApi, messagesApi } from "castellan/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { inProject } from "../../examples/tenants.ts";
import { unique } from "../session-on-fake/scene.ts";

let api: MessagesApi;
let base: string;

beforeAll(async () => {
  api = await messagesApi();
});

afterAll(async () => {
  await api.stop();
});

beforeEach(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), "castellan-tenants-")));
});

afterEach(async () => {
  await rm(base, { recursive: true, force: true });
});

/** Makes the model use a tool. The returned function gives the tool's result. */
function using(name: string, input: unknown): () => string {
  let outcome = "";
  let isUsed = false;
  api.model = ({ body }) => {
    const content = body.messages.at(-1)?.content ?? [];
    const result = typeof content === "string" ? undefined : content.find(({ type }) => type === "tool_result");
    if (result !== undefined) outcome = JSON.stringify(result["content"]);
    if (isUsed) return { text: "done" };
    isUsed = true;
    return { toolUses: [{ name, input }] };
  };
  return () => outcome;
}

it("isolation: keeps file tools inside the session's directory, own or given, in spite of allowed tools", async () => {
  const family = unique("tenants");
  const [own, project] = [join(base, "sessions"), join(base, "project")];
  await mkdir(project);
  await writeFile(join(base, "secret"), "of somebody else");
  const options = (key: string) => (key === "own" ? { isolate: { root: own } } : inProject(project));
  await using supervisor = await Supervisor.start(
    [template(family, (key: string) => ({ ...options(key), allowedTools: ["Read"] }))],
    { defaults: { env: api.env } },
  );
  for (const key of ["own", "project"]) {
    const outcome = using("Read", { file_path: join(base, "secret") });
    await supervisor.query([family, key], "Read it.");
    expect(outcome()).toContain("blockReadsOutsideWorkingDirectories");
  }
  expect((await stat(supervisor.session([family, "own"]).cwd)).mode & 0o777).toBe(0o700);
});
