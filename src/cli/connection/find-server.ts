import { CastellanClient, type ClientOptions } from "../../client/index.ts";
import { CliError } from "../terminal/cli-error.ts";
import { findServerFile } from "./server-file.ts";
import { socketFetch } from "./socket-fetch.ts";

/** Where to look for a server. */
export interface ServerSource {
  /** The option `--url`. */
  readonly url?: string | undefined;
  readonly env: { readonly CASTELLAN_URL?: string | undefined; readonly CASTELLAN_TOKEN?: string | undefined };
  /** The folder in which, or above which, a server may have written its address. */
  readonly cwd: string;
}

const UNIX = "unix:";

/**
 * Says how to reach the server: that of `--url`, else of `CASTELLAN_URL`, else the one that runs in this folder or the nearest one above. A
 * running server is asked through its socket, which needs no token.
 *
 * @throws CliError `NO_SERVER`
 */
export async function reachServer({ url, env, cwd }: ServerSource): Promise<ClientOptions> {
  const given = url ?? (env.CASTELLAN_URL || undefined);
  const found = given === undefined ? await findServerFile(cwd) : undefined;
  const address = given ?? (found?.socket === undefined ? found?.url : `${UNIX}${found.socket}`);
  if (address === undefined) {
    throw new CliError(
      "NO_SERVER",
      "No server runs in this folder. Start one with `castellan serve`, or give --url or CASTELLAN_URL.",
    );
  }
  const token = env.CASTELLAN_TOKEN || undefined;
  if (address.startsWith(UNIX)) {
    return { url: "http://localhost", token, fetch: socketFetch(address.slice(UNIX.length)) };
  }
  if (/^https?:$/.test(URL.parse(address)?.protocol ?? "")) return { url: address, token };
  throw new CliError(
    "NO_SERVER",
    `${address} is no address of a server. Give one such as http://127.0.0.1:8080 or unix:/path.`,
  );
}

/** Makes a client of the server, found as by {@link reachServer}. @throws CliError `NO_SERVER` */
export async function findServer(source: ServerSource): Promise<CastellanClient> {
  return new CastellanClient(await reachServer(source));
}
