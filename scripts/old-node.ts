import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/*
 * Imports every entry point of the built package that needs Node.js, and runs its commands on Node.js releases that are too old, and expects the error that
 * names the required release. It tries each old Node.js on the PATH, and this Node.js with a faked version: that one cannot fail to
 * parse the package, but proves on every machine that the check runs before anything else.
 */

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const { name, exports, bin } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as {
  readonly name: string;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly bin: Readonly<Record<string, string>>;
};

interface OldNode {
  readonly command: string;
  readonly parameters: readonly string[];
  readonly version: string;
}

const FAKED = "20.0.0";
const FAKE_VERSION = `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${FAKED}"}})`;

/** Loads in browsers and in any runtime, so it does not ask for a release of Node.js. */
const PORTABLE = "./client";

const entries = Object.keys(exports).filter((entry) => !entry.endsWith(".json") && entry !== PORTABLE);
const olds: readonly OldNode[] = [
  { command: process.execPath, parameters: ["--import", FAKE_VERSION], version: FAKED },
  ...(await oldOnPath()),
];

for (const old of olds) {
  const expected = `Castellan needs Node.js 24 or newer, and this is ${old.version}; install Node.js 24`;
  for (const entry of entries) {
    const script = `await import(${JSON.stringify(name + entry.slice(1))})`;
    const said = await stderrOf(old, ["--input-type=module", "--eval", script]);
    if (!said.includes(`\nError: ${expected}\n`))
      throw new Error(`${name}${entry.slice(1)} prints another error: ${said}`);
  }
  for (const [command, file] of Object.entries(bin)) {
    const said = await stderrOf(old, [join(root, file), "doctor"]);
    if (said !== `${expected}\n`) throw new Error(`the command ${command} prints another error: ${said}`);
  }
  console.log(
    `Node.js ${old.version} (${old.command}): ${entries.length} entry points and the commands name the required release`,
  );
}

/** Runs a command that must fail with exit code 1, and returns its stderr. */
async function stderrOf({ command, parameters }: OldNode, more: readonly string[]): Promise<string> {
  try {
    await run(command, [...parameters, ...more], { cwd: root });
  } catch (error) {
    if (error instanceof Error && "stderr" in error && "code" in error && error.code === 1) return String(error.stderr);
    throw error;
  }
  throw new Error(`${more.join(" ")} succeeds on an old Node.js`);
}

async function oldOnPath(): Promise<OldNode[]> {
  const found = new Map<string, OldNode>();
  for (const folder of new Set((process.env["PATH"] ?? "").split(delimiter))) {
    const command = join(folder, "node");
    const version = await run(command, ["--print", "process.versions.node"]).then(
      ({ stdout }) => stdout.trim(),
      () => undefined,
    );
    if (version !== undefined && Number.parseInt(version, 10) < 24) {
      found.set(version, { command, parameters: [], version });
    }
  }
  return [...found.values()];
}
