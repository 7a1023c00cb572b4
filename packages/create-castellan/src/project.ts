import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { StarterError } from "./starter-error.ts";
import type { TemplateName } from "./template.ts";

const FOLDERS = fileURLToPath(new URL("../templates/", import.meta.url));

/** npm leaves files of these names out of packages, so the templates have others. */
const RENAMED: Readonly<Record<string, string>> = { _gitignore: ".gitignore" };

/** What a folder for a new project may have. */
const HARMLESS: ReadonlySet<string> = new Set([".git", ".gitkeep", ".DS_Store"]);

export interface Project {
  readonly folder: string;
  readonly template: TemplateName;
  /** The release of castellan. Default: the template's. */
  readonly castellan?: string | undefined;
}

/** The name of the package in a folder. */
export function packageName(folder: string): string {
  return basename(resolve(folder));
}

/** Says why npm would not take a name, or returns undefined. */
export function nameProblem(name: string): string | undefined {
  if (name.length <= 214 && /^[a-z0-9][a-z0-9._-]*$/.test(name)) return undefined;
  return `${JSON.stringify(name)} is no name for a package. Use lower-case letters, digits, - and _.`;
}

/**
 * Writes the files of a template. Leaves nothing behind if it cannot.
 *
 * @throws StarterError
 */
export async function writeProject({ folder, template, castellan }: Project): Promise<void> {
  const problem = nameProblem(packageName(folder));
  if (problem !== undefined) throw new StarterError(problem);
  const made = await makeEmpty(folder);
  try {
    await cp(join(FOLDERS, template), folder, { recursive: true });
    for (const [from, to] of Object.entries(RENAMED)) await rename(join(folder, from), join(folder, to));
    const path = join(folder, "package.json");
    const own = JSON.parse(await readFile(path, "utf8")) as { name: string; dependencies: Record<string, string> };
    own.name = packageName(folder);
    if (castellan !== undefined) own.dependencies["castellan"] = castellan;
    await writeFile(path, `${JSON.stringify(own, undefined, 2)}\n`);
  } catch (error) {
    if (made !== undefined) await rm(made, { recursive: true, force: true });
    throw new StarterError(`${folder} cannot be written: ${(error as Error).message}`);
  }
}

/** Makes the folder, unless it exists and is empty. Returns the topmost folder that it has made. */
async function makeEmpty(folder: string): Promise<string | undefined> {
  try {
    const made = await mkdir(folder, { recursive: true });
    const names = (await readdir(folder)).filter((name) => !HARMLESS.has(name));
    if (names.length === 0) return made;
    const some = names.slice(0, 3).join(", ");
    throw new StarterError(
      `${folder} is not empty: it has ${some}${names.length > 3 ? ", …" : ""}. Name another folder.`,
    );
  } catch (error) {
    if (error instanceof StarterError) throw error;
    throw new StarterError(`${folder} cannot be made: ${(error as Error).message}`);
  }
}
