import { join } from "node:path";
import { type Modules, withImports } from "./page-chunks.ts";

/** A file of the build: `name` says which modules are in it. The file of the highest priority gets a module. */
interface File {
  readonly name: (id: string, modules: Modules) => string | null;
  /** The name in the warnings of the build. */
  readonly debugName: string;
  readonly priority: number;
}

/**
 * The two files that an import of `castellan` loads: the modules that the commands import too, and the others. By default, each set
 * of entries that share modules has a file, which makes thirty.
 */
export const importedFiles: readonly File[] = [
  {
    name: (id, modules) => (isImported(id, modules) && isInCommands(id, modules) ? "shared" : null),
    debugName: "shared",
    priority: 2,
  },
  { name: (id, modules) => (isImported(id, modules) ? "castellan" : null), debugName: "castellan", priority: 1 },
];

/** Whether the package's main entry imports the module. The check of the release of Node.js stays apart: it runs before the others. */
function isImported(id: string, modules: Modules): boolean {
  const entry = source("index.ts");
  const first = withImports([source("required-node.ts")], modules);
  return id !== entry && !first.has(id) && withImports([entry], modules).has(id);
}

function isInCommands(id: string, modules: Modules): boolean {
  return withImports([source("cli/run-program.ts")], modules).has(id);
}

function source(path: string): string {
  return join(import.meta.dirname, "../src", path);
}
