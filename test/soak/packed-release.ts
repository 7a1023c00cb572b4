import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../../scripts/guide.ts";

const run = promisify(execFile);

/** The last commit before the hand-over of journals. */
export const EARLIER_RELEASE = "fdf51b343d15a7cb3c6b54bea9729353209f34b0";

const HOST = "release-host.ts";

/** What a release is made of, besides its sources. */
const PARTS = [
  "src",
  "scripts",
  "package.json",
  "tsconfig.json",
  "tsdown.config.ts",
  "CHANGELOG.md",
  "README.md",
  "LICENSE",
];

/** A part of the built package, and what replaces it. */
export interface Patch {
  readonly from: RegExp;
  readonly to: string;
}

/** Packs releases, and installs each in a folder of its own with the host of the tests. */
export class PackedReleases implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async in(): Promise<PackedReleases> {
    return new PackedReleases(await mkdtemp(join(tmpdir(), "castellan-releases-")));
  }

  /** Returns the script of the host on the sources of this checkout. */
  async current(name: string): Promise<string> {
    return await this.#install(name, await this.#sources(name));
  }

  /** Returns the package of this checkout, as it would be published, without declarations. */
  async tarball(): Promise<string> {
    return await this.#pack(await this.#sources("tarball"));
  }

  /** Returns the script of the host on another release, changed by patches. */
  async changed(name: string, script: string, ...patches: readonly Patch[]): Promise<string> {
    const application = join(this.#folder, name);
    await cp(dirname(script), application, { recursive: true, verbatimSymlinks: true });
    const dist = join(application, "node_modules", "castellan", "dist");
    const files = (await readdir(dist)).filter((file) => file.endsWith(".js"));
    for (const { from, to } of patches) {
      let found = 0;
      for (const file of files) {
        const before = await readFile(join(dist, file), "utf8");
        if (!from.test(before)) continue;
        found += 1;
        await writeFile(join(dist, file), before.replace(from, to));
      }
      if (found !== 1) throw new Error(`${found} files of the package have ${from}`);
    }
    return join(application, HOST);
  }

  /** Returns the script of the host on the sources of a commit. */
  async committed(name: string, commit: string): Promise<string> {
    await run("git", ["cat-file", "-e", `${commit}^{commit}`], { cwd: ROOT }).catch(() => {
      throw new Error(
        `The clone lacks the commit ${commit}, with which this test compares. Run \`git fetch --unshallow\`.`,
      );
    });
    const source = await this.#emptyFolder(`${name}-source`);
    const archive = join(this.#folder, `${name}.tar`);
    await run("git", ["archive", "--output", archive, commit, ...PARTS], { cwd: ROOT });
    await run("tar", ["-xf", archive, "-C", source]);
    return await this.#install(name, source);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #emptyFolder(name: string): Promise<string> {
    const folder = join(this.#folder, name);
    await mkdir(folder, { recursive: true });
    return folder;
  }

  async #sources(name: string): Promise<string> {
    const source = await this.#emptyFolder(`${name}-source`);
    for (const part of PARTS) await cp(join(ROOT, part), join(source, part), { recursive: true });
    return source;
  }

  /** Builds and packs a release. */
  async #pack(source: string): Promise<string> {
    const modules = join(ROOT, "node_modules");
    await symlink(modules, join(source, "node_modules"));
    await run(process.execPath, [join(modules, "tsdown/dist/run.mjs"), "--no-dts"], { cwd: source });
    const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", this.#folder], {
      cwd: source,
      maxBuffer: 1e8,
    });
    const [{ filename }] = JSON.parse(stdout) as [{ readonly filename: string }];
    return join(this.#folder, filename);
  }

  /** Builds a release, and unpacks it beside the dependencies of this checkout. */
  async #install(name: string, source: string): Promise<string> {
    const modules = join(ROOT, "node_modules");
    const tarball = await this.#pack(source);
    const application = await this.#emptyFolder(name);
    const installed = join(application, "node_modules");
    await mkdir(join(installed, "castellan"), { recursive: true });
    await run("tar", ["-xf", tarball, "-C", join(installed, "castellan"), "--strip-components=1"]);
    for (const entry of await readdir(modules)) {
      if (entry !== "castellan") await symlink(join(modules, entry), join(installed, entry));
    }
    await rm(tarball);
    await writeFile(join(application, "package.json"), JSON.stringify({ private: true, type: "module" }));
    await cp(join(import.meta.dirname, HOST), join(application, HOST));
    return join(application, HOST);
  }
}
