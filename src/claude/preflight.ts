import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import type { ExitClass } from "../errors.ts";
import { classOfFault } from "./passing-fault.ts";

/** What a Claude Code process needs, as far as can be checked without starting one. */
export interface PreflightRequest {
  readonly cwd: string;
  /** The application's own binary; by default the SDK's. */
  readonly executable?: string | undefined;
}

/** What is missing, in words that tell a person what to do. */
export interface PreflightFault {
  readonly code: "CLAUDE_NOT_FOUND" | "START_FAILED";
  readonly class: ExitClass;
  readonly message: string;
}

/** The endings of file names that the SDK runs with a JavaScript runtime, which only has to read the file. */
const SCRIPT = /\.(js|mjs|ts|tsx|jsx)$/;

/**
 * Checks the working directory and the binary. A missing directory has to be detected here: the operating system
 * reports it like a missing binary, and the SDK then blames the binary.
 */
export async function preflight(request: PreflightRequest): Promise<PreflightFault | undefined> {
  const { cwd, executable } = request;
  const where = `the working directory ${cwd}`;
  const folder = await stat(cwd).catch(obstacleOf);
  if ("why" in folder) return fault("START_FAILED", folder, `${where} ${folder.why}; create it or change \`cwd\``);
  if (!folder.isDirectory()) return fault("START_FAILED", LASTING, `${where} is a file; \`cwd\` needs a directory`);
  const entered = await obstacleTo(cwd, constants.R_OK | constants.X_OK);
  if (entered !== undefined) return fault("START_FAILED", entered, `${where} ${entered.why}`);

  if (executable === undefined) return undefined;
  const which = `the Claude Code binary ${executable}`;
  const binary = await stat(executable).catch(obstacleOf);
  if ("why" in binary) {
    const advice = "correct `pathToClaudeCodeExecutable` or leave it out";
    return fault("CLAUDE_NOT_FOUND", binary, `${which} ${binary.why}; ${advice}`);
  }
  if (!binary.isFile()) {
    return fault("CLAUDE_NOT_FOUND", LASTING, `\`pathToClaudeCodeExecutable\` ${executable} is not a file`);
  }
  const runs = await obstacleTo(executable, SCRIPT.test(executable) ? constants.R_OK : constants.X_OK);
  return runs === undefined ? undefined : fault("CLAUDE_NOT_FOUND", runs, `${which} ${runs.why}`);
}

/** Why something cannot be used, and whether that may pass. */
interface Obstacle {
  readonly why: string;
  readonly class: ExitClass;
}

const LASTING: Pick<Obstacle, "class"> = { class: "bad_config" };

function fault(
  code: PreflightFault["code"],
  { class: kind }: Pick<Obstacle, "class">,
  message: string,
): PreflightFault {
  return { code, class: kind, message };
}

/** Returns why the path may not be used so; undefined if it may. Bun resolves `access` with null. */
async function obstacleTo(path: string, mode: number): Promise<Obstacle | undefined> {
  return await access(path, mode).then(() => undefined, obstacleOf);
}

function obstacleOf(error: unknown): Obstacle {
  return { why: reasonOf(error), class: classOfFault(error) };
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "does not exist";
  if (code === "EACCES" || code === "EPERM") return "may not be used by this user";
  if (code === "ENOTDIR") return "does not exist, because a part of its path is a file";
  return `cannot be used (${String(code ?? error)})`;
}
