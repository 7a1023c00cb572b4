import { Argument, Command } from "commander";
import { type CompletedCommand, completionScript, SHELLS, type Shell } from "../terminal/completion-script.ts";

const EXAMPLES = `
Examples:
  $ echo 'source <(castellan completion bash)' >> ~/.bashrc
  $ castellan completion zsh > "\${fpath[1]}/_castellan"
  $ castellan completion fish > ~/.config/fish/completions/castellan.fish`;

/** The command `completion`, for the commands of `program`. */
export function completionCommand(program: Command): Command {
  return new Command("completion")
    .description("print a script that completes commands, options and session names in a shell")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText("after", EXAMPLES)
    .action((shell: Shell) => console.log(completionScript(shell, commandsOf(program))));
}

function commandsOf(program: Command): CompletedCommand[] {
  return program.commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    options: command.options.flatMap(({ long }) => long ?? []),
    subcommands: command.commands.map((inner) => inner.name()),
    takesSession: command.registeredArguments.some((argument) => argument.name() === "name"),
  }));
}
