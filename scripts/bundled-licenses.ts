import { readdir, readFile } from "node:fs/promises";
import { join, sep } from "node:path";
import { bundledLicenseFault } from "./license-rules.ts";

/** A file of a build, as a plugin sees it. */
interface BuiltFile {
  readonly type: string;
  /** Of a file with code: its modules. */
  readonly moduleIds?: readonly string[];
}

/**
 * Returns the licenses of all packages whose code is in the files of a build, as their authors demand of every copy.
 *
 * @throws Error if a license is not allowed, or its text is missing
 */
export async function bundledLicenses(bundle: Readonly<Record<string, BuiltFile>>): Promise<string> {
  const folders = new Set(Object.values(bundle).flatMap(({ moduleIds = [] }) => moduleIds.flatMap(packageFolder)));
  const texts = await Promise.all([...folders].toSorted().map(licenseOf));
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

/** Returns the folder of the package that a module is in, or nothing for the project's own. */
function packageFolder(id: string): string[] {
  const parts = id.split(sep);
  const at = parts.lastIndexOf("node_modules");
  if (at === -1) return [];
  const length = parts[at + 1]?.startsWith("@") ? 3 : 2;
  return [parts.slice(0, at + length).join(sep)];
}

async function licenseOf(folder: string): Promise<string> {
  const text = await readFile(join(folder, "package.json"), "utf8");
  const { name = folder, version, license } = JSON.parse(text) as Record<string, string>;
  const fault = bundledLicenseFault(name, license);
  if (fault !== undefined) throw new Error(fault);
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) throw new Error(`the package ${name} has no file with its license`);
  return `${name} ${version}\n\n${await readFile(join(folder, file), "utf8")}`;
}
