import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type ConfigChange, type FromConfigOptions, type Supervisor, startFromConfig } from "../../src/index.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

const FILE = "castellan.config.json";

/** A folder whose configuration changes while a supervisor runs with it. */
class Scene {
  readonly cwd: string;
  readonly name = unique();
  #supervisor: Supervisor | undefined;
  readonly #changes: ConfigChange[] = [];
  readonly #told: PromiseWithResolvers<ConfigChange>[] = [];

  private constructor(cwd: string) {
    this.cwd = cwd;
  }

  static async open(): Promise<Scene> {
    const cwd = await mkdtemp(join(tmpdir(), "castellan-watch-"));
    onTestFinished(() => rm(cwd, { recursive: true, force: true }));
    return new Scene(cwd);
  }

  config(maxTurns: number): string {
    return JSON.stringify({ journal: "memory", children: [{ name: this.name, maxTurns }] });
  }

  async write(maxTurns: number, file: string = FILE): Promise<void> {
    await writeFile(join(this.cwd, file), this.config(maxTurns));
  }

  async start(options: FromConfigOptions = {}): Promise<void> {
    const onChange = (change: ConfigChange): void => {
      const waiting = this.#told.shift();
      if (waiting === undefined) this.#changes.push(change);
      else waiting.resolve(change);
    };
    const defaults = { spawnClaudeCodeProcess: fakeClaude().spawn };
    const supervisor = await startFromConfig({
      cwd: this.cwd,
      watch: true,
      onChange,
      ...options,
      options: { defaults },
    });
    this.#supervisor = supervisor;
    onTestFinished(() => supervisor.stop());
  }

  /** Returns the next reported change. */
  async change(): Promise<ConfigChange> {
    const known = this.#changes.shift();
    if (known !== undefined) return known;
    const waiting = Promise.withResolvers<ConfigChange>();
    this.#told.push(waiting);
    return await waiting.promise;
  }

  async expectApplied(maxTurns: number): Promise<void> {
    expect(await this.change()).toMatchObject({ applied: true, report: { changed: [this.name], failed: [] } });
    expect(this.#supervisor?.inspect().children).toMatchObject([{ options: { maxTurns: { value: maxTurns } } }]);
    expect(this.#changes).toEqual([]);
  }
}

test("watch: applies a file that replaces another one right after the start, and the next one", async () => {
  const scene = await Scene.open();
  await scene.write(1);
  await scene.start();
  await scene.write(2, "next.json");
  await rename(join(scene.cwd, "next.json"), join(scene.cwd, FILE));
  await scene.expectApplied(2);
  await scene.write(3, "next.json");
  await rename(join(scene.cwd, "next.json"), join(scene.cwd, FILE));
  await scene.expectApplied(3);
});

test("watch: applies a file that is written right after the start", async () => {
  const scene = await Scene.open();
  await scene.write(1);
  await scene.start();
  await scene.write(2);
  await scene.expectApplied(2);
});

test("watch: applies a new version of a ConfigMap, whose link moves to another folder", async () => {
  const scene = await Scene.open();
  const { cwd } = scene;
  const version = async (name: string, maxTurns: number): Promise<void> => {
    await mkdir(join(cwd, name));
    await scene.write(maxTurns, join(name, FILE));
    await symlink(name, join(cwd, "..data_tmp"));
    await rename(join(cwd, "..data_tmp"), join(cwd, "..data"));
  };
  await version("..2026_1", 1);
  await symlink(join("..data", FILE), join(cwd, FILE));
  await scene.start();
  await version("..2026_2", 2);
  // The kubelet removes the old folder after it has moved the link.
  await rm(join(cwd, "..2026_1"), { recursive: true });
  await scene.expectApplied(2);
  await version("..2026_3", 3);
  await scene.expectApplied(3);
});

test("watch: follows a link to the file, and the file that it extends", async () => {
  const scene = await Scene.open();
  const { cwd } = scene;
  await mkdir(join(cwd, "etc"));
  await scene.write(1, join("etc", "base.json"));
  await writeFile(join(cwd, "etc", "real.json"), JSON.stringify({ extends: "./etc/base.json" }));
  await symlink("real.json", join(cwd, "etc", "app.json"));
  await scene.start({ file: "etc/app.json" });
  await scene.write(2, join("etc", "base.json"));
  await scene.expectApplied(2);
});

test("watch: reports a missing file, changes nothing, and applies the file when it is back", async () => {
  const scene = await Scene.open();
  await scene.write(1);
  await scene.start();
  await unlink(join(scene.cwd, FILE));
  expect(await scene.change()).toMatchObject({ applied: false, error: { code: "INVALID_OPTIONS" } });
  await scene.write(2);
  await scene.expectApplied(2);
});

test("watch: reports a wrong file once, and nothing for an unchanged one", async () => {
  const scene = await Scene.open();
  await scene.write(1);
  await scene.start();
  await writeFile(join(scene.cwd, FILE), "{");
  expect(await scene.change()).toMatchObject({ applied: false });
  await scene.write(1);
  expect(await scene.change()).toMatchObject({ applied: true, report: { changed: [], added: [], removed: [] } });
  await scene.write(1);
  await scene.write(4);
  await scene.expectApplied(4);
});
