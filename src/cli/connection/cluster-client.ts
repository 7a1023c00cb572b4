import { CastellanClient } from "../../client/index.ts";
import type { ConnectOptions } from "../../cluster/cluster-options.ts";
import { loadConfig } from "../../config/load-config.ts";
import { withoutUndefined } from "../../fields.ts";
import { type Caller, SCOPES } from "../../server/http/caller.ts";
import { CliError } from "../terminal/cli-error.ts";

/**
 * Makes a client that needs no server: it answers its requests in this process, which is connected to the cluster of a config
 * file, and hosts no session.
 *
 * @param file the path of the config file, relative to `cwd`
 * @returns the client, and what ends the connection
 * @throws CliError `NO_SERVER` if the config has no cluster; CastellanError `INVALID_OPTIONS`
 */
export async function clusterClient(
  file: string,
  cwd: string,
): Promise<{ readonly client: CastellanClient; readonly close: () => Promise<void> }> {
  const { options } = await loadConfig({ file, cwd });
  if (options.cluster === undefined) throw new CliError("NO_SERVER", `${file} has no \`cluster\`.`);
  // Loaded on demand, so that the other commands start fast.
  const [{ connect }, { Supervisor }, { serverHandler }] = await Promise.all([
    import("../../connect.ts"),
    import("../../application/supervisor.ts"),
    import("../../server/index.ts"),
  ]);
  const { postgres, schema, secret, patience, tls } = options.cluster;
  // Checks its options, and opens no connection before the first call.
  const cluster = connect({
    postgres,
    secret,
    ...withoutUndefined({ schema, patience, tls }),
  } satisfies ConnectOptions);
  const supervisor = await Supervisor.start([], { name: "castellan", journal: "memory" });
  // Whoever can read the secret may do everything.
  const caller: Caller = { id: "cli", scopes: new Set(SCOPES) };
  const handler = serverHandler(supervisor, { authenticate: () => caller, rateLimit: false });
  return {
    client: new CastellanClient({
      url: "http://localhost",
      fetch: async (url, init) => await handler(new Request(url, init)),
    }),
    close: async () => {
      handler.drain();
      await supervisor.stop();
      await cluster.close();
    },
  };
}
