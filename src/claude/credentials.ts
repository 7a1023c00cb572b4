import { createHash } from "node:crypto";
import { buildEnvironment } from "./environment.ts";
import type { Shape } from "./fingerprint.ts";
import { resolveApiKey } from "./launch.ts";

/** With what Claude Code may authenticate, in the order in which one of them stands for an account. */
const KEYS: readonly string[] = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];

/** Where it finds who has logged in, if it was given none of them. */
const PLACES: readonly string[] = ["CLAUDE_CONFIG_DIR", "HOME"];

/** A digest of that with which a process authenticates: the same for those that share a limit of the API. */
export function credentialsOf(
  { options, apiKey, inheritEnv }: Shape,
  host: Readonly<Record<string, string | undefined>> = process.env,
): string {
  const key = resolveApiKey(apiKey, host);
  const environment = buildEnvironment({ host, inheritEnv, env: options.env, apiKey: key });
  const name = [...KEYS, ...PLACES].find((variable) => environment[variable] !== undefined) ?? "";
  return createHash("sha256")
    .update(`${name}=${environment[name] ?? ""}`)
    .digest("base64url");
}
