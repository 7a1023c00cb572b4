import { createHash } from "node:crypto";
import { buildEnvironment } from "./environment.ts";
import type { Shape } from "./fingerprint.ts";
import { matcher } from "./inherited-variables.ts";
import { resolveApiKey } from "./launch.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The variables that Claude Code may authenticate with, in the order in which one of them identifies the account. */
const KEYS: readonly string[] = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];

/** The variables that lead to a login, if none of those is set. */
const PLACES: readonly string[] = ["CLAUDE_CONFIG_DIR", "HOME"];

/** All variables that select a provider or authenticate with it. A key is only valid at one address. */
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

/** Returns a digest of the account of a process with this shape: the same for processes that share an API limit. */
export function accountOf(shape: Shape, host: Environment = process.env): string {
  const environment = environmentOf(shape, host);
  const name = [...KEYS, ...PLACES].find((variable) => environment[variable] !== undefined) ?? "";
  return digest([[name, environment[name]]]);
}

/**
 * Returns a digest of everything in this environment that a process authenticates with. Excludes files, such as a login
 * or the output of an `apiKeyHelper`, which Claude Code rereads itself.
 */
export function credentialsIn(environment: Environment): string {
  const given = Object.entries(environment).filter(([name, value]) => value !== undefined && isCredential(name));
  if (given.length > 0) return digest(given.toSorted(([one], [other]) => (one < other ? -1 : 1)));
  return digest(PLACES.map((name) => [name, environment[name]]));
}

/**
 * Returns that digest for a process that would start with this shape now; `undefined` if the variable for its key is
 * unset.
 */
export function credentialsOf(shape: Shape, host: Environment = process.env): string | undefined {
  if (shape.apiKey !== undefined && resolveApiKey(shape.apiKey, host) === undefined) return undefined;
  return credentialsIn(environmentOf(shape, host));
}

function environmentOf({ options, apiKey, inheritEnv }: Shape, host: Environment): Readonly<Record<string, string>> {
  return buildEnvironment({ host, inheritEnv, env: options.env, apiKey: resolveApiKey(apiKey, host) });
}

function digest(variables: readonly (readonly [name: string, value: string | undefined])[]): string {
  const digested = createHash("sha256").update(JSON.stringify(variables)).digest("base64url");
  if (digested !== lastDigest) lastDigest = digested;
  return lastDigest;
}

/** Ten thousand sessions with one key keep its digest as one string. */
let lastDigest = "";
