import { isDeepStrictEqual } from "node:util";
import type { Command } from "commander";
import { CastellanApiError, type CastellanClient, type TreeNode, type WireName } from "../../client/index.ts";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import type { NameArgument } from "../terminal/name-argument.ts";
import { sessionArgument } from "../terminal/session-argument.ts";

/** The command `inspect`. */
export function inspectCommand(): Command {
  return sessionCommand("inspect", "print everything known of a session, or of the whole tree, as JSON", [
    "castellan inspect support/42",
    "castellan inspect | jq .capacity",
  ])
    .addArgument(sessionArgument().argOptional())
    .action(inspect);
}

async function inspect(name: NameArgument | undefined, options: ServerOptions): Promise<void> {
  const client = await clientFor(options);
  const found = name === undefined ? await client.tree() : await sessionFacts(client, name);
  console.log(options.json ? JSON.stringify(found) : JSON.stringify(found, null, 2));
}

/** Returns a session, and what only the tree tells of it, for a caller who may see the tree. */
async function sessionFacts(client: CastellanClient, name: WireName): Promise<object> {
  const [session, tree] = await Promise.all([
    client.session(name).get(),
    client.tree().catch((error: unknown) => {
      if (error instanceof CastellanApiError && error.code === "FORBIDDEN") return undefined;
      throw error;
    }),
  ]);
  const node = tree && nodeOf(tree.children, name);
  if (node?.kind !== "session") return session;
  const { options, budget, lastExits } = node;
  return { ...session, options, budget, lastExits };
}

function nodeOf(nodes: readonly TreeNode[], name: WireName): TreeNode | undefined {
  for (const node of nodes) {
    if (node.kind === "session" && isDeepStrictEqual(node.status.name, name)) return node;
    const below = node.kind === "supervisor" ? nodeOf(node.children, name) : undefined;
    if (below !== undefined) return below;
  }
  return undefined;
}
