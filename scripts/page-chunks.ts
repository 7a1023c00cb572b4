import { join } from "node:path";

/** What a browser needs before it shows anything, and small parts that most pages need. */
const FIRST = ["main.ts", "parts/facts.ts", "parts/long-text.ts"];

/** The modules of a build. */
interface Modules {
  getModuleInfo(id: string): { readonly importedIds: readonly string[] } | null;
}

/**
 * Says which modules are the first file, with all that they import; the build makes one of each other page. Several small files
 * compress worse, and each takes a request.
 */
export const firstFile: { readonly name: (id: string, modules: Modules) => string | null } = {
  name: (id, modules) => (withImports(FIRST, modules).has(id) ? "page" : null),
};

function withImports(paths: readonly string[], modules: Modules): ReadonlySet<string> {
  const found = new Set(paths.map((path) => join(import.meta.dirname, "../src/page", path)));
  for (const one of found) for (const imported of modules.getModuleInfo(one)?.importedIds ?? []) found.add(imported);
  return found;
}
