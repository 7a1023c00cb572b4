import { createHash } from "node:crypto";
import { buildEnvironment } from "./environment.ts";
import type { Shape } from "./fingerprint.ts";
import { matcher } from "./inherited-variables.ts";
import { resolveApiKey } from "./launch.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** With what Claude Code may authenticate, in the order in which one of them stands for an account. */
const KEYS: readonly string[] = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];

/** Where it finds who has logged in, if it was given none of them. */
const PLACES: readonly string[] = ["CLAUDE_CONFIG_DIR", "HOME"];

/** All that it authenticates with at any provider, and which provider that is. A key is good at one address only. */
const CREDENTIALS: readonly string[] = [
  ...KEYS,
  "ANTHROPIC_CUSTOM_HEADERS",
  "ANTHROPIC_BASE_URL",
  "ANTHROPIC_PROFILE",
  "ANTHROPIC_IDENTITY_TOKEN*",
  "CLAUDE_CODE_OAUTH_*",
  "CLAUDE_CODE_USE_*",
  "ANTHROPIC_BEDROCK_*",
  "ANTHROPIC_AWS_*",
  "AWS_*",
  "ANTHROPIC_VERTEX_*",
  "ANTHROPIC_GOOGLE_*",
  "GOOGLE_*",
  "GCLOUD_*",
  "CLOUD_ML_REGION",
  "ANTHROPIC_FOUNDRY_*",
  "AZURE_*",
];

const isCredential = matcher(CREDENTIALS);

/** A digest of the account of a process with this shape: the same for those that share a limit of the API. */
export function accountOf(shape: Shape, host: Environment = process.env): string {
  const environment = environmentOf(shape, host);
  const name = [...KEYS, ...PLACES].find((variable) => environment[variable] !== undefined) ?? "";
  return digest([[name, environment[name]]]);
}

/**
 * A digest of all with which a process of this environment authenticates. What Claude Code finds in files, such as a login or the
 * output of an `apiKeyHelper`, it looks after by itself.
 */
export function credentialsIn(environment: Environment): string {
  const given = Object.entries(environment).filter(([name, value]) => value !== undefined && isCredential(name));
  if (given.length > 0) return digest(given.toSorted(([one], [other]) => (one < other ? -1 : 1)));
  return digest(PLACES.map((name) => [name, environment[name]]));
}

/**
 * The same of a process that would be started with this shape now; `undefined` if the variable that is to have its key is not set.
 */
export function credentialsOf(shape: Shape, host: Environment = process.env): string | undefined {
  if (shape.apiKey !== undefined && resolveApiKey(shape.apiKey, host) === undefined) return undefined;
  return credentialsIn(environmentOf(shape, host));
}

function environmentOf({ options, apiKey, inheritEnv }: Shape, host: Environment): Readonly<Record<string, string>> {
  return buildEnvironment({ host, inheritEnv, env: options.env, apiKey: resolveApiKey(apiKey, host) });
}

function digest(variables: readonly (readonly [name: string, value: string | undefined])[]): string {
  return createHash("sha256").update(JSON.stringify(variables)).digest("base64url");
}
