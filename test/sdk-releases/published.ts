import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../../scripts/guide.ts";

const run = promisify(execFile);

export const SDK = "@anthropic-ai/claude-agent-sdk";

/** The release that Castellan is developed on. */
export const PINNED: string = pinned();

/** How many of the newest releases are tested, besides the pinned one. */
const NEWEST = 3;

/** Bounds what npm does when the registry does not answer. */
const PATIENCE: readonly string[] = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"];

function pinned(): string {
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    readonly devDependencies: Readonly<Record<string, string>>;
  };
  return devDependencies[SDK] ?? "none";
}

/**
 * Returns the releases to test, oldest first: the newest ones of the registry and the pinned one, or those of the variable
 * `AGENT_SDK_RELEASES`, separated by commas.
 *
 * @throws Error if npm cannot list the releases.
 */
export async function testedReleases(): Promise<string[]> {
  const given = process.env["AGENT_SDK_RELEASES"];
  return given === undefined ? newest(await published(), PINNED) : given.split(",");
}

/** Returns the newest releases and the pinned one, oldest first, without prereleases. */
export function newest(versions: readonly string[], pinnedOne: string): string[] {
  const releases = versions.filter((version) => /^\d+\.\d+\.\d+$/.test(version)).toSorted(ascending);
  return [...new Set([...releases.slice(-NEWEST), pinnedOne])].toSorted(ascending);
}

function ascending(one: string, other: string): number {
  return one.localeCompare(other, "en", { numeric: true });
}

async function published(): Promise<string[]> {
  const stdout = await npm(["view", SDK, "versions", "--json"], "npm cannot list the releases of the Agent SDK");
  // npm writes a text instead of a list if there is only one.
  return [JSON.parse(stdout) as string | string[]].flat();
}

/** Runs npm, and returns what it prints. An error has one line, which begins with `failure`. */
export async function npm(args: readonly string[], failure: string, cwd: string = ROOT): Promise<string> {
  try {
    return (await run("npm", [...args, ...PATIENCE], { cwd, maxBuffer: 1e8, timeout: 300_000 })).stdout;
  } catch (error) {
    const { stderr = "", message } = error as { readonly stderr?: string; readonly message: string };
    const reason = /^npm error (?!(?:code|syscall|errno) )(.+)$/m.exec(stderr)?.[1];
    throw new Error(`${failure}: ${reason ?? message}`);
  }
}
