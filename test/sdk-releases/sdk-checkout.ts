import { execFile } from "node:child_process";
import { cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../../scripts/guide.ts";
import type { Outcome } from "./outcome.ts";
import { npm, PINNED, SDK } from "./published.ts";

const run = promisify(execFile);

/** What the tests need of this checkout. */
const PARTS = [
  "src",
  "test",
  "scripts",
  "package.json",
  "CHANGELOG.md",
  "tsconfig.json",
  "tsdown.config.ts",
  "vitest.releases.config.ts",
];

const SCOPE = dirname(SDK);
const MODULES = join(ROOT, "node_modules");

/** A copy of this checkout with another release of the Agent SDK. */
export class SdkCheckout implements AsyncDisposable {
  readonly #folder: string;
  readonly #release: string;

  private constructor(folder: string, release: string) {
    this.#folder = folder;
    this.#release = release;
  }

  /** Installs the release, unless it is the pinned one, which is here already. */
  static async in(parent: string, release: string): Promise<SdkCheckout> {
    const folder = join(parent, release);
    const scope = join(folder, "node_modules", SCOPE);
    await mkdir(scope, { recursive: true });
    for (const part of PARTS) await cp(join(ROOT, part), join(folder, part), { recursive: true });
    await link(MODULES, dirname(scope), (entry) => entry !== SCOPE);
    // The SDK and the packages of its binary.
    const ofRelease = (entry: string): boolean => entry.startsWith(basename(SDK));
    await link(join(MODULES, SCOPE), scope, (entry) => release === PINNED || !ofRelease(entry));
    if (release !== PINNED) await install(release, folder, scope);
    return new SdkCheckout(folder, release);
  }

  /** Runs the tests of `vitest.releases.config.ts`, or only some files of them, until `signal` stops them. */
  async test(signal: AbortSignal, files: readonly string[] = []): Promise<readonly Outcome[]> {
    const report = join(this.#folder, "outcomes.json");
    await rm(report, { force: true });
    const inherited = Object.entries(process.env).filter(([name]) => !/^(VITEST|TEST$|NODE_ENV$)/.test(name));
    const env = {
      ...Object.fromEntries(inherited),
      NO_COLOR: "1",
      AGENT_SDK_EXPECTED: this.#release,
      AGENT_SDK_OUTCOMES: report,
    };
    const reporter = join(this.#folder, "test/sdk-releases/outcome-reporter.ts");
    const args = ["run", "--config", "vitest.releases.config.ts", "--reporter", reporter, ...files];
    // A failed test is an exit code, too. Only a run without a report has failed itself.
    const ended = await run(process.execPath, [join(MODULES, "vitest/vitest.mjs"), ...args], {
      cwd: this.#folder,
      env,
      signal,
      maxBuffer: 1e8,
    }).catch((error: { readonly stdout?: string; readonly stderr?: string; readonly message: string }) => error);
    try {
      return JSON.parse(await readFile(report, "utf8")) as Outcome[];
    } catch {
      throw new Error(`Agent SDK ${this.#release}: the tests did not run: ${JSON.stringify(ended)}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function link(from: string, to: string, wanted: (entry: string) => boolean): Promise<void> {
  for (const entry of (await readdir(from)).filter(wanted)) await symlink(join(from, entry), join(to, entry));
}

/** Installs a release without its peers, which then are those of this checkout, and moves it to `scope`. */
async function install(release: string, folder: string, scope: string): Promise<void> {
  const place = join(folder, "installed");
  await mkdir(place);
  await writeFile(join(place, "package.json"), JSON.stringify({ private: true }));
  const options = [
    "--legacy-peer-deps",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--cache",
    join(folder, "cache"),
  ];
  await npm(["install", ...options, `${SDK}@${release}`], `npm cannot install Agent SDK ${release}`, place);
  const installed = join(place, "node_modules", SCOPE);
  for (const entry of await readdir(installed)) await rename(join(installed, entry), join(scope, entry));
  await rm(join(folder, "cache"), { recursive: true });
}
