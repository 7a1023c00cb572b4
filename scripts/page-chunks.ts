import { join } from "node:path";

/** What a browser needs before it shows anything, and small parts that most pages need. */
const FIRST = ["main.ts", "parts/facts.ts", "parts/long-text.ts"].map((path) =>
  join(import.meta.dirname, "../src/page", path),
);

/** The modules of a build. */
export interface Modules {
  getModuleInfo(id: string): { readonly importedIds: readonly string[] } | null;
}

/**
 * Says which modules are the first file, with all that they import; the build makes one of each other page. Several small files
 * compress worse, and each takes a request.
 */
export const firstFile: { readonly name: (id: string, modules: Modules) => string | null } = {
  name: (id, modules) => (withImports(FIRST, modules).has(id) ? "page" : null),
};

/** Returns the modules of these ids, and all that they import before they run. */
export function withImports(ids: readonly string[], modules: Modules): ReadonlySet<string> {
  const found = new Set(ids);
  for (const one of found) for (const imported of modules.getModuleInfo(one)?.importedIds ?? []) found.add(imported);
  return found;
}
