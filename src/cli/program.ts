import { createRequire } from "node:module";
import { Command } from "commander";
import { acpCommand } from "./commands/acp.ts";
import { approvalsCommand } from "./commands/approvals.ts";
import { approveCommand } from "./commands/approve.ts";
import { attachCommand } from "./commands/attach.ts";
import { capacityCommand } from "./commands/capacity.ts";
import { completionCommand } from "./commands/completion.ts";
import { denyCommand } from "./commands/deny.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { drainCommand } from "./commands/drain.ts";
import { exportCommand } from "./commands/export.ts";
import { healthCommand } from "./commands/health.ts";
import { hibernateCommand } from "./commands/hibernate.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { interruptCommand } from "./commands/interrupt.ts";
import { logsCommand } from "./commands/logs.ts";
import { mcpCommand } from "./commands/mcp.ts";
import { migrateCommand } from "./commands/migrate.ts";
import { nodesCommand } from "./commands/nodes.ts";
import { psCommand } from "./commands/ps.ts";
import { queryCommand } from "./commands/query.ts";
import { rebalanceCommand } from "./commands/rebalance.ts";
import { restartCommand } from "./commands/restart.ts";
import { rmCommand } from "./commands/rm.ts";
import { serveCommand } from "./commands/serve.ts";
import { stopCommand } from "./commands/stop.ts";
import { tokenCommand } from "./commands/token.ts";
import { topCommand } from "./commands/top.ts";
import { touchCommand } from "./commands/touch.ts";
import { treeCommand } from "./commands/tree.ts";
import { usageCommand } from "./commands/usage.ts";
import { wakeCommand } from "./commands/wake.ts";
import { webhooksCommand } from "./commands/webhooks.ts";
import { EXIT_CODES } from "./terminal/exit-code.ts";

const { version } = createRequire(import.meta.url)("castellan/package.json") as { readonly version: string };

/** Makes the program with all commands of `castellan`. Its errors are thrown. */
export function createProgram(): Command {
  const program = new Command("castellan")
    .description("Supervision for Claude Code sessions")
    .version(version)
    .showHelpAfterError("(add --help for the options)")
    .addHelpText("after", exitCodes());
  for (const { title, commands } of GROUPS) {
    program.commandsGroup(title);
    for (const make of commands) program.addCommand(make());
  }
  program.addCommand(completionCommand(program));
  throwErrors(program);
  return program;
}

/** The commands as the help lists them. */
const GROUPS = [
  { title: "Server:", commands: [serveCommand, mcpCommand, tokenCommand, drainCommand, migrateCommand, doctorCommand] },
  {
    title: "Sessions:",
    commands: [
      psCommand,
      topCommand,
      queryCommand,
      attachCommand,
      logsCommand,
      acpCommand,
      inspectCommand,
      exportCommand,
    ],
  },
  {
    title: "Control:",
    commands: [
      interruptCommand,
      restartCommand,
      hibernateCommand,
      wakeCommand,
      touchCommand,
      stopCommand,
      rmCommand,
      rebalanceCommand,
    ],
  },
  { title: "Permission requests:", commands: [approvalsCommand, approveCommand, denyCommand] },
  {
    title: "State:",
    commands: [treeCommand, healthCommand, capacityCommand, nodesCommand, webhooksCommand, usageCommand],
  },
] as const;

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
