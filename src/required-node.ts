/*
 * Every entry point imports this file first. An older Node.js then stops here, before it evaluates anything that it does not have.
 * It parses and links the whole package before that, so the build lowers newer syntax (see `tsdown.config.ts`), and
 * built-in modules that an older Node.js does not have are imported when they are used.
 */
import { nodeProblem } from "./node-release.ts";

const problem = nodeProblem(process.versions.node);
if (problem !== undefined) throw new Error(problem);
