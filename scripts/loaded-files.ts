import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/*
 * Imports the built package in a new process, and expects that it loads no other packages and files than these. A count shows on any
 * machine what makes an import slow: the Agent SDK, all of zod, or a file for each module.
 */

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

/** The files that an import loads, by package. */
const EXPECTED: Readonly<Record<string, number>> = { castellan: 5, croner: 1, leven: 1, ms: 1 };

const SCRIPT = `
import { registerHooks } from "node:module";
const urls = [];
registerHooks({
  load(url, context, next) {
    if (url.startsWith("file:")) urls.push(url);
    return next(url, context);
  },
});
await import("castellan");
console.log(JSON.stringify(urls));`;

const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", SCRIPT], { cwd: root });
const counts: Record<string, number> = {};
for (const url of JSON.parse(stdout) as string[]) {
  const name = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? "castellan";
  counts[name] = (counts[name] ?? 0) + 1;
}
const text = (files: Readonly<Record<string, number>>): string => JSON.stringify(Object.entries(files).toSorted());
if (text(counts) !== text(EXPECTED)) {
  throw new Error(`import("castellan") loads the files ${text(counts)}, and not ${text(EXPECTED)}`);
}
console.log(`import("castellan") loads ${Object.values(counts).reduce((sum, count) => sum + count)} files`);
