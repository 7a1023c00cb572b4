import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "../src/page");

/**
 * What is one file, with all that it imports: the modules that import the rest. Several small files compress worse, and each takes a
 * request. A module of several files is in the first of them.
 */
const FILES: Readonly<Record<string, readonly string[]>> = {
  // What a browser needs before it shows anything, and small parts that most pages need.
  page: ["main.ts", "parts/facts.ts", "parts/long-text.ts"],
  // Pages that few people open without another one.
  overviews: ["pages/tree-page.ts", "pages/costs-page.ts", "pages/cluster-page.ts"],
  "session-parts": ["parts/details-panel.ts", "parts/session-dialog.ts"],
};

/** The modules of a build. */
interface Modules {
  getModuleInfo(id: string): { readonly importedIds: readonly string[] } | null;
}

interface FileGroup {
  readonly name: (id: string, modules: Modules) => string | null;
  readonly priority: number;
}

/** Returns the files, for the build. */
export function pageFiles(): FileGroup[] {
  return Object.entries(FILES).map(([file, paths], index) => ({
    name: (id, modules) => (withImports(paths, modules).has(id) ? file : null),
    priority: 10 - index,
  }));
}

function withImports(paths: readonly string[], modules: Modules): ReadonlySet<string> {
  const found = new Set(paths.map((path) => join(FOLDER, path)));
  for (const one of found) for (const imported of modules.getModuleInfo(one)?.importedIds ?? []) found.add(imported);
  return found;
}
