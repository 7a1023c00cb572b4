import { createRequire } from "node:module";
import { opensNoFile } from "./passing-fault.ts";

const SDK = "@anthropic-ai/claude-agent-sdk";

let found: { readonly pathToClaudeCodeExecutable?: string } | undefined;

/**
 * Returns the location of the SDK's Claude Code as an SDK option. Looked up once.
 *
 * On Linux the SDK detects the C library at each start with a process report, which waits for every thread of the
 * process: a thread waiting for a disk would block the event loop. If both of the SDK's packages are installed, or
 * neither can be found from here, as in a bundle, the SDK decides itself.
 */
export function sdkBinary(): { readonly pathToClaudeCodeExecutable?: string } {
  if (found !== undefined) return found;
  const binary = find();
  // Without free file descriptors nothing is found; do not remember that.
  if (binary.pathToClaudeCodeExecutable !== undefined || !opensNoFile()) found = binary;
  return binary;
}

function find(): { readonly pathToClaudeCodeExecutable?: string } {
  if (process.platform !== "linux") return {};
  const [binary, another] = ["", "-musl"].flatMap((library) =>
    resolve(`${SDK}-linux-${process.arch}${library}/claude`),
  );
  return binary === undefined || another !== undefined ? {} : { pathToClaudeCodeExecutable: binary };
}

/** Resolves from the SDK's location, as the SDK does. */
function resolve(binary: string): string[] {
  try {
    return [createRequire(createRequire(import.meta.url).resolve(SDK)).resolve(binary)];
  } catch {
    return [];
  }
}
