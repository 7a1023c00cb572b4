import type { ClientOptions } from "../../client/index.ts";
import { CliError } from "../terminal/cli-error.ts";

/** The probes of a server, which it answers to everybody. */
export const PROBES = ["livez", "readyz"] as const;

export type Probe = (typeof PROBES)[number];

/** How long a probe may take, in milliseconds. A server answers at once, unless its event loop hangs. */
const LIMIT_MS = 5_000;

/** What a failed probe says. */
const FAILED: Readonly<Record<Probe, string>> = {
  livez: "The supervisor has ended by itself; a restart of the server helps.",
  readyz: "The server takes no work: `castellan health` says why.",
};

/**
 * Asks a server for one of its probes.
 *
 * @throws CliError `UNHEALTHY` if the probe fails, `NO_SERVER` if there is no answer
 */
export async function askProbe(
  probe: Probe,
  { url, fetch = globalThis.fetch }: Pick<ClientOptions, "url" | "fetch">,
  limitMs: number = LIMIT_MS,
): Promise<void> {
  const address = `${String(url).replace(/\/+$/, "")}/${probe}`;
  const response = await answerOf(fetch(address, { signal: AbortSignal.timeout(limitMs) }), limitMs);
  await response.body?.cancel();
  if (response.ok) return;
  const isProbe = response.status === 503;
  throw new CliError("UNHEALTHY", isProbe ? FAILED[probe] : `${address} answers ${response.status}.`);
}

async function answerOf(asking: Promise<Response>, limitMs: number): Promise<Response> {
  try {
    return await asking;
  } catch (error) {
    const isLate = error instanceof Error && error.name === "TimeoutError";
    const why = isLate ? ` within ${limitMs / 1_000} s` : `: ${reasonOf(error)}`;
    throw new CliError("NO_SERVER", `The server does not answer${why}.`);
  }
}

/** `fetch` says only that it failed; its cause says why. */
function reasonOf(error: unknown): string {
  const { cause = error } = error instanceof Error ? error : {};
  return cause instanceof Error ? cause.message : String(cause);
}
