import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { pathToFileURL } from "node:url";
import type { Jiti } from "jiti";

/** How often a file has been read, since a module is only loaded once under one address. */
const times = new Map<string, number>();

/** TypeScript that Node cannot run as it is, such as with enumerations. */
const NOT_ERASABLE = "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX";

/**
 * Loads files of configuration for the library that finds them: by Node itself, so that what they import is what the application
 * imports; and as they are now, where the library's own loader keeps what it has read once.
 */
export async function freshLoader(cwd: string): Promise<Jiti> {
  const { createJiti } = await import("jiti");
  const jiti = createJiti(cwd, { interopDefault: true, moduleCache: false });
  const transpiled = jiti.import;
  const load = async <Loaded>(file: string): Promise<Loaded> => {
    try {
      return (await loadedByNode(file)) as Loaded;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === NOT_ERASABLE) {
        return await transpiled<Loaded>(file, { default: true });
      }
      throw error;
    }
  };
  return Object.assign(jiti, { import: load });
}

async function loadedByNode(file: string): Promise<unknown> {
  if (extname(file) === ".json") return JSON.parse(await readFile(file, "utf8"));
  const before = times.get(file) ?? 0;
  times.set(file, before + 1);
  const url = pathToFileURL(file).href;
  const loaded = (await import(before === 0 ? url : `${url}?${before}`)) as { readonly default: unknown };
  return loaded.default;
}
