import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/*
 * `npm run newcomer` repeats the first steps of a new user and times them: installs the packed package and its peers into an empty
 * folder; asks a session from a TypeScript application (real Claude Code, mock API) and from a CommonJS one (fake Claude); runs
 * `castellan doctor`.
 */

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

const ESM = `import { query, Supervisor } from "castellan";
import { mockApi } from "castellan/testing";

const since: number = performance.now();
await using api = await mockApi();
await using supervisor = await Supervisor.start([{ name: "assistant" }], { journal: "memory", defaults: { env: api.env, cwd: api.cwd } });
const { text } = await query("assistant", "Hello");
console.log(JSON.stringify({ text, ms: Math.round(performance.now() - since), notStarted: supervisor.notStarted.length }));
`;

const COMMON_JS = `const since = performance.now();
const { Supervisor, query } = require("castellan");
const { fakeClaude } = require("castellan/testing");
const ms = performance.now() - since;
(async () => {
  const fake = fakeClaude();
  const supervisor = await Supervisor.start([{ name: "assistant" }], { journal: "memory", defaults: { spawnClaudeCodeProcess: fake.spawn } });
  const { text } = await query("assistant", "Hello");
  await supervisor.stop();
  console.log(JSON.stringify({ text, ms: Math.round(ms) }));
})();
`;

/** The limit of the packed size, in bytes. docs/performance.md states the actual size. */
const MAX_PACKED_BYTES = 1_000_000;

/** The budget of an import, in milliseconds on a machine without other work, which is why more is no failure. `loaded-files.ts` guards it. */
const IMPORT_BUDGET_MS = 120;

/** The number of timed imports, each in a new process. */
const IMPORTS = 9;

const IMPORT =
  'const since = performance.now(); await import("castellan"); console.log(Math.round(performance.now() - since));';

const TYPES = {
  compilerOptions: { strict: true, module: "nodenext", target: "esnext", noEmit: true, types: ["node"] },
};

const begun = performance.now();
const folder = await mkdtemp(join(tmpdir(), "castellan-newcomer-"));
try {
  await newcomer();
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function newcomer(): Promise<void> {
  const { version, peers } = await versions();
  const tarball = await timed("npm pack", async () => {
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: root });
    const [{ filename, size, unpackedSize }] = JSON.parse(stdout) as [
      { filename: string; size: number; unpackedSize: number },
    ];
    say(`castellan ${version}: ${kilobytes(size)} packed, ${kilobytes(unpackedSize)} unpacked`);
    if (size > MAX_PACKED_BYTES) throw new Error(`the packed package is larger than ${kilobytes(MAX_PACKED_BYTES)}`);
    return join(folder, filename);
  });
  const application = join(folder, "application");
  await mkdir(application);
  await writeFile(join(application, "package.json"), JSON.stringify({ private: true, type: "module" }));
  await writeFile(join(application, "main.ts"), ESM);
  await writeFile(join(application, "main.cjs"), COMMON_JS);
  await writeFile(join(application, "tsconfig.json"), JSON.stringify(TYPES));
  // The Node.js of this process first, so that no other release on the PATH is used.
  const path = [dirname(process.execPath), process.env["PATH"]].join(delimiter);
  const env = { ...process.env, PATH: path };
  const at = { cwd: application, env };
  await timed("npm install", () =>
    run("npm", ["install", "--no-audit", "--no-fund", tarball, ...peers], { ...at, maxBuffer: 1e8 }),
  );
  const { stdout: disk } = await run("du", ["-sk", "node_modules/castellan", "node_modules"], at);
  say(disk.trim().replaceAll(/(\d+)\t(\S+)/g, (_, size, name) => `${kilobytes(Number(size) * 1024)} ${name}`));
  const imports = await importTimes(at);
  say(
    `import("castellan"): ${imports[(IMPORTS - 1) / 2]} ms, between ${imports[0]} and ${imports.at(-1)} of ${IMPORTS}; budget ${IMPORT_BUDGET_MS}`,
  );
  await timed("types", () => run("node", [join(root, "node_modules/typescript/bin/tsc"), "--project", "."], at));
  expectAnswer("main.ts", (await timed("main.ts", () => run("node", ["main.ts"], at))).stdout);
  expectAnswer("main.cjs", (await timed("main.cjs", () => run("node", ["main.cjs"], at))).stdout);
  await doctor(at);
  say(`newcomer: ok after ${Math.round((performance.now() - begun) / 1_000)} s`);
}

/** The import times in milliseconds, in ascending order. */
async function importTimes(at: { readonly cwd: string; readonly env: NodeJS.ProcessEnv }): Promise<number[]> {
  const times: number[] = [];
  while (times.length < IMPORTS) {
    const { stdout } = await run("node", ["--input-type=module", "--eval", IMPORT], at);
    times.push(Number(stdout));
  }
  return times.toSorted((a, b) => a - b);
}

/** Expects exactly one failed finding: the missing API key. */
async function doctor(at: { readonly cwd: string; readonly env: NodeJS.ProcessEnv }): Promise<void> {
  const { ANTHROPIC_API_KEY: _, ...env } = at.env;
  const home = { ...env, HOME: folder, CLAUDE_CONFIG_DIR: join(folder, "claude") };
  const { stdout } = await run("npx", ["castellan", "doctor", "--json"], { ...at, env: home }).catch(
    (error: { readonly stdout: string }) => error,
  );
  const findings = JSON.parse(stdout) as {
    readonly subject: string;
    readonly verdict: string;
    readonly message: string;
  }[];
  const failed = findings.filter(({ verdict }) => verdict === "failed");
  if (failed.length !== 1 || !failed[0]?.message.includes("no API key")) throw new Error(`castellan doctor: ${stdout}`);
  say(`castellan doctor: ${failed[0].message}`);
}

async function versions(): Promise<{ readonly version: string; readonly peers: readonly string[] }> {
  const read = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as {
    readonly version: string;
    readonly devDependencies: Readonly<Record<string, string>>;
  };
  const wanted = ["@anthropic-ai/claude-agent-sdk", "@copilotkit/aimock", "@types/node"];
  return { version: read.version, peers: wanted.map((name) => `${name}@${read.devDependencies[name]}`) };
}

function expectAnswer(file: string, stdout: string): void {
  const answer = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as { readonly text: string; readonly ms: number };
  if (answer.text !== "You said: Hello") throw new Error(`${file} answered ${stdout}`);
  say(`${file}: ${JSON.stringify(answer)}`);
}

async function timed<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
  const since = performance.now();
  const result = await work();
  say(`${what}: ${((performance.now() - since) / 1_000).toFixed(1)} s`);
  return result;
}

function kilobytes(bytes: number): string {
  return bytes > 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.round(bytes / 1e3)} kB`;
}

function say(line: string): void {
  console.log(line);
}
