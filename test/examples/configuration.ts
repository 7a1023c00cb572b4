import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type ConfigChange, session } from "castellan";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { main, startWatched } from "../../examples/configuration.ts";
import { ROOT } from "../../scripts/guide.ts";
import { onFake } from "./on-fake.ts";

describe("castellan.config.ts", () => {
  let cwd: string;

  // A copy, since Node itself imports the file and cannot resolve the package's name to the sources.
  beforeEach(async () => {
    cwd = await mkdtemp(join(tmpdir(), "castellan-guide-"));
    const text = await readFile(join(ROOT, "examples/castellan.config.ts"), "utf8");
    const sources = pathToFileURL(join(ROOT, "src/config/config.ts")).href;
    await writeFile(join(cwd, "castellan.config.ts"), text.replace('"castellan"', JSON.stringify(sources)));
  });

  afterEach(() => rm(cwd, { recursive: true }));

  test("configures the supervisor, and inspect shows the source of each option", async () => {
    vi.stubEnv("CLAUDE_MODEL", "a-model");
    onTestFinished(() => void vi.unstubAllEnvs());
    const { fake, options } = onFake();
    const text = await main(cwd, options);
    expect(text).toContain('supervisor "assistants"');
    expect(text).toContain("journal memory");
    expect(text).toContain('model = "a-model"  (supervisor "assistants", castellan.config.ts, variable CLAUDE_MODEL)');
    expect(fake.processes.map(({ model }) => model)).toEqual(["a-model"]);
  });

  test("layers options by environment", async () => {
    onTestFinished(() => void vi.unstubAllEnvs());
    const { options } = onFake();
    vi.stubEnv("NODE_ENV", "staging");
    expect(await main(cwd, options)).toContain("processes 1 of 2");
    vi.stubEnv("NODE_ENV", "production");
    vi.stubEnv("DATABASE_URL", "");
    await expect(main(cwd, options)).rejects.toMatchObject({
      message: expect.stringContaining("DATABASE_URL is not set"),
    });
  });

  test("applies a change of the file", async () => {
    await rm(join(cwd, "castellan.config.ts"));
    const write = (children: object[]): Promise<void> => {
      return writeFile(join(cwd, "castellan.config.json"), JSON.stringify({ journal: "memory", children }));
    };
    const { options } = onFake();
    await write([{ name: "a" }]);
    const changed = Promise.withResolvers<ConfigChange>();
    await using _supervisor = await startWatched(cwd, changed.resolve, options);
    const { pid } = session("a").status();
    await write([{ name: "a" }, { name: "b" }]);
    expect(await changed.promise).toMatchObject({ applied: true, report: { added: ["b"], changed: [] } });
    expect(session("a").status().pid).toBe(pid);
  });
});
