import type { Command } from "commander";
import { clientFor, type ServerOptions, serverCommand } from "../connection/server-command.ts";
import { print } from "../terminal/output.ts";
import { treeLines } from "../terminal/tree-lines.ts";

/** The command `tree`. */
export function treeCommand(): Command {
  return serverCommand("tree", "draw the supervisor and everything below it", ["castellan tree"]).action(
    async (options: ServerOptions) => {
      const tree = await (await clientFor(options)).tree();
      print(options.json, tree, () => treeLines(tree));
    },
  );
}
