import { createRequire } from "node:module";
import { Command } from "commander";
import { doctorCommand } from "./commands/doctor.ts";
import { serveCommand } from "./commands/serve.ts";
import { tokenCommand } from "./commands/token.ts";
import { EXIT_CODES } from "./terminal/exit-code.ts";

const { version } = createRequire(import.meta.url)("castellan/package.json") as { readonly version: string };

/** Makes the program with all commands of `castellan`. Its errors are thrown. */
export function createProgram(): Command {
  const program = new Command("castellan")
    .description("Supervision for Claude Code sessions")
    .version(version)
    .showHelpAfterError("(add --help for the options)")
    .addHelpText("after", exitCodes());
  for (const command of [serveCommand(), tokenCommand(), doctorCommand()]) program.addCommand(command);
  throwErrors(program);
  return program;
}

/** Applies to commands that are added, which inherit nothing. */
function throwErrors(command: Command): void {
  command.exitOverride();
  for (const inner of command.commands) {
    inner.copyInheritedSettings(command);
    throwErrors(inner);
  }
}

function exitCodes(): string {
  const lines = Object.values(EXIT_CODES).map(([code, meaning]) => `  ${code}  ${meaning}`);
  return ["", "Exit codes:", "  0  success", ...lines].join("\n");
}
