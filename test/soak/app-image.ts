import { chmod, cp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ROOT } from "../../scripts/guide.ts";
import { DEPLOY, deployFile } from "../deploy/deploy-file.ts";
import { type ImageConfig, imageConfig } from "../deploy/dockerfile.ts";
import { PackedReleases } from "./packed-release.ts";

/** The packages that the application uses from this checkout, at the path of their links. */
export const MODULES: string = join(ROOT, "node_modules");

/** The application of `deploy/app`, installed as its Dockerfile does it, with the packed package of this checkout. */
export class AppImage implements AsyncDisposable {
  /** What is `/app` in a container. */
  readonly folder: string;
  readonly config: ImageConfig;
  readonly #releases: PackedReleases;

  private constructor(releases: PackedReleases, folder: string) {
    this.#releases = releases;
    this.folder = folder;
    this.config = imageConfig(deployFile("app/Dockerfile"));
  }

  static async build(): Promise<AppImage> {
    const releases = await PackedReleases.in();
    const folder = dirname(await releases.current("app"));
    for (const file of ["package.json", "castellan.config.ts"]) await cp(join(DEPLOY, "app", file), join(folder, file));
    const bin = join(folder, "node_modules", ".bin");
    await rm(bin, { force: true });
    await mkdir(bin);
    await chmod(join(folder, "node_modules/castellan/dist/cli.js"), 0o755);
    await symlink("../castellan/dist/cli.js", join(bin, "castellan"));
    await symlink(join(MODULES, "node/bin/node"), join(bin, "node"));
    return new AppImage(releases, folder);
  }

  /** Makes the root of a container: the programs are those of this machine, `/app` is that of the image, and the accounts are its own. */
  async makeRoot(root: string): Promise<void> {
    for (const folder of ["usr", "etc/ssl", "etc/alternatives", "proc", "sys", "dev", "app", MODULES]) {
      await mkdir(join(root, folder), { recursive: true });
    }
    await mkdir(join(root, "tmp"));
    await chmod(join(root, "tmp"), 0o1777);
    for (const name of ["bin", "lib", "lib64", "sbin"]) await symlink(`usr/${name}`, join(root, name));
    await writeFile(join(root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n");
    await writeFile(join(root, "etc/group"), "root:x:0:\nnode:x:1000:\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#releases[Symbol.asyncDispose]();
  }
}
