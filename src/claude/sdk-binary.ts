import { createRequire } from "node:module";
import { opensNoFile } from "./passing-fault.ts";

const SDK = "@anthropic-ai/claude-agent-sdk";

let found: { readonly pathToClaudeCodeExecutable?: string } | undefined;

/**
 * Where the Claude Code is that the SDK brings along, as the option that tells it so. Looked for once.
 *
 * On Linux the SDK finds out at each start which C library there is, by a report of the process, and for that each thread of the
 * process is waited for: one that waits for a disk would hold the event loop up. Where both of its packages are installed, or none can
 * be found from here, as in a bundle, that is left to it.
 */
export function sdkBinary(): { readonly pathToClaudeCodeExecutable?: string } {
  if (found !== undefined) return found;
  const binary = find();
  // Where no file can be opened none is found, which is no answer for good.
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

/** From where the SDK is, as it does itself. */
function resolve(binary: string): string[] {
  try {
    return [createRequire(createRequire(import.meta.url).resolve(SDK)).resolve(binary)];
  } catch {
    return [];
  }
}
