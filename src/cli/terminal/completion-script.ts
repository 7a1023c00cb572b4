/** The shells with a script. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** A shell with a script. */
export type Shell = (typeof SHELLS)[number];

/** A command to complete. */
export interface CompletedCommand {
  readonly name: string;
  readonly description: string;
  /** With their dashes. */
  readonly options: readonly string[];
  readonly subcommands: readonly string[];
  /** Whether its first argument is the name of a session. */
  readonly takesSession: boolean;
}

/** Returns the script for a shell. It asks the running server for the names of sessions. */
export function completionScript(shell: Shell, commands: readonly CompletedCommand[]): string {
  switch (shell) {
    case "bash":
      return bashScript(commands);
    case "zsh":
      return `#compdef castellan\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(commands)}`;
    case "fish":
      return fishScript(commands);
  }
}

const NAMES = "castellan ps --quiet 2>/dev/null";

function bashScript(commands: readonly CompletedCommand[]): string {
  const cases = commands.map(({ name, options, subcommands, takesSession }) => {
    const words = [...subcommands, ...options].join(" ");
    return `    ${name}) words="${words}${takesSession ? ` $(${NAMES})` : ""}" ;;`;
  });
  return `_castellan() {
  local words
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="${commands.map(({ name }) => name).join(" ")}"
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _castellan castellan`;
}

function fishScript(commands: readonly CompletedCommand[]): string {
  const lines = commands.flatMap(({ name, description, options, subcommands, takesSession }) => {
    const seen = `-n "__fish_seen_subcommand_from ${name}"`;
    return [
      `complete -c castellan -f -n "__fish_use_subcommand" -a ${name} -d '${description.replaceAll("'", "\\'")}'`,
      ...options.map((option) => `complete -c castellan ${seen} -l ${option.replace(/^--/, "")}`),
      ...(subcommands.length === 0 ? [] : [`complete -c castellan -f ${seen} -a "${subcommands.join(" ")}"`]),
      ...(takesSession ? [`complete -c castellan -f ${seen} -a "(${NAMES})"`] : []),
    ];
  });
  return lines.join("\n");
}
