import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/*
 * Imports every entry point of the built package with a Node.js that is too old, and runs its commands, and expects one sentence that
 * says so. The old one is each that is on the PATH, and this one, which is told that it is old: that one cannot fail to parse
 * the package, but shows on every machine that the check is evaluated before all else.
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

const TOLD = "20.0.0";
const TELL = `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${TOLD}"}})`;

const entries = Object.keys(exports).filter((entry) => !entry.endsWith(".json"));
const olds: readonly OldNode[] = [
  { command: process.execPath, parameters: ["--import", TELL], version: TOLD },
  ...(await oldOnPath()),
];

for (const old of olds) {
  const expected = `Castellan needs Node.js 24 or newer, and this is ${old.version}; install Node.js 24`;
  for (const entry of entries) {
    const script = `await import(${JSON.stringify(name + entry.slice(1))})`;
    const said = await stderrOf(old, ["--input-type=module", "--eval", script]);
    if (!said.includes(`\nError: ${expected}\n`)) throw new Error(`${name}${entry.slice(1)} says instead: ${said}`);
  }
  for (const [command, file] of Object.entries(bin)) {
    const said = await stderrOf(old, [join(root, file), "doctor"]);
    if (said !== `${expected}\n`) throw new Error(`the command ${command} says instead: ${said}`);
  }
  console.log(
    `Node.js ${old.version} (${old.command}): ${entries.length} entry points and the commands say what is needed`,
  );
}

/** What it says, which is an error: whatever succeeds here has not been refused. */
async function stderrOf({ command, parameters }: OldNode, more: readonly string[]): Promise<string> {
  try {
    await run(command, [...parameters, ...more], { cwd: root });
  } catch (error) {
    if (error instanceof Error && "stderr" in error && "code" in error && error.code === 1) return String(error.stderr);
    throw error;
  }
  throw new Error(`${more.join(" ")} succeeds with an old Node.js`);
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
