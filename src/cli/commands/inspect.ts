import type { Command } from "commander";
import { CastellanApiError, type CastellanClient, type WireName } from "../../client/index.ts";
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

/** Returns a session, and its options with their origins for a caller who may see them. */
async function sessionFacts(client: CastellanClient, name: WireName): Promise<object> {
  const [session, inspection] = await Promise.all([
    client.session(name).get(),
    client
      .session(name)
      .inspect()
      .catch((error: unknown) => {
        if (error instanceof CastellanApiError && error.code === "FORBIDDEN") return undefined;
        throw error;
      }),
  ]);
  if (inspection === undefined) return session;
  const { options, budget, lastExits } = inspection;
  return { ...session, options, budget, lastExits };
}
