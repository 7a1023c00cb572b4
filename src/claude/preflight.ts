import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import type { ExitClass } from "../errors.ts";

/** What has to be there before a Claude Code process can run, as far as it can be told without starting one. */
export interface PreflightRequest {
  readonly cwd: string;
  /** The application's own binary; without one the SDK's is used. */
  readonly executable?: string | undefined;
}

/** What is missing, in words that a person can act on. */
export interface PreflightFault {
  readonly code: "CLAUDE_NOT_FOUND" | "START_FAILED";
  readonly class: ExitClass;
  readonly message: string;
}

/** Ends of file names that the SDK hands to a JavaScript runtime, which only has to read them. */
const SCRIPT = /\.(js|mjs|ts|tsx|jsx)$/;

/**
 * Looks for the working directory and the binary. A missing directory has to be found here: the operating system
 * reports it in the same words as a missing binary, and the SDK then blames the binary.
 */
export async function preflight(request: PreflightRequest): Promise<PreflightFault | undefined> {
  const { cwd, executable } = request;
  const folder = await stat(cwd).catch(reasonOf);
  if (typeof folder === "string")
    return badConfig(`the working directory ${cwd} ${folder}; create it or change \`cwd\``);
  if (!folder.isDirectory()) return badConfig(`the working directory ${cwd} is a file; \`cwd\` needs a directory`);
  const entered = await access(cwd, constants.R_OK | constants.X_OK).catch(reasonOf);
  if (entered !== undefined) return badConfig(`the working directory ${cwd} ${entered}`);

  if (executable === undefined) return undefined;
  const binary = await stat(executable).catch(reasonOf);
  if (typeof binary === "string") {
    return notFound(
      `the Claude Code binary ${executable} ${binary}; correct \`pathToClaudeCodeExecutable\` or leave it out`,
    );
  }
  if (!binary.isFile()) return notFound(`\`pathToClaudeCodeExecutable\` ${executable} is not a file`);
  const runs = await access(executable, SCRIPT.test(executable) ? constants.R_OK : constants.X_OK).catch(reasonOf);
  return runs === undefined ? undefined : notFound(`the Claude Code binary ${executable} ${runs}`);
}

function badConfig(message: string): PreflightFault {
  return { code: "START_FAILED", class: "bad_config", message };
}

function notFound(message: string): PreflightFault {
  return { code: "CLAUDE_NOT_FOUND", class: "bad_config", message };
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "does not exist";
  if (code === "EACCES" || code === "EPERM") return "may not be used by this user";
  if (code === "ENOTDIR") return "does not exist, because a part of its path is a file";
  return `cannot be used (${String(code ?? error)})`;
}
