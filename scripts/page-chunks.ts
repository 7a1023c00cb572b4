import { join } from "node:path";

const ENTRY = join(import.meta.dirname, "../src/page/main.ts");

/** The modules of a build. */
interface Modules {
  getModuleInfo(id: string): { readonly importedIds: readonly string[] } | null;
}

/**
 * Returns whether a browser needs a module before it shows anything. All such modules are one file: it takes one request, and compresses
 * better than several.
 */
export function isFirst(id: string, modules: Modules): boolean {
  const found = new Set([ENTRY]);
  for (const one of found) for (const imported of modules.getModuleInfo(one)?.importedIds ?? []) found.add(imported);
  return found.has(id);
}
