/** What must not be shown. */
export type Secrets = readonly string[];

/** What stands in the place of a secret. */
const HIDDEN = "[hidden]";

/** The shortest value that is taken for a secret: what is shorter may stand anywhere. */
const SHORTEST_SECRET = 8;

/** Names of variables that hold one. Numbers of tokens are none. */
const NAMES =
  /(?:^|_)(?:API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|BEARER|BEDROCK|PAT|PWD)$/i;

/** Where a shell is, which some name as they name a password. */
const NO_SECRETS: ReadonlySet<string> = new Set(["PWD", "OLDPWD"]);

type Environment = Readonly<Record<string, string | undefined>>;

/** What servers of tools are given, as far as it may hold secrets. */
interface ServerOptions {
  readonly env?: unknown;
  readonly headers?: unknown;
}

/**
 * The keys, tokens and passwords that a process is given: in its environment, those of proxies and of custom headers among them, and
 * for its servers of tools.
 */
export function secretsIn(environment: Environment, servers: Readonly<Record<string, object>> = {}): Secrets {
  const found = [...secretsOfVariables(environment), ...Object.values(servers).flatMap(secretsOfServer)];
  const long = found.map((secret) => secret.trim()).filter((secret) => secret.length >= SHORTEST_SECRET);
  // The longest first, since one may stand in another.
  return [...new Set(long)].toSorted((one, other) => other.length - one.length);
}

function secretsOfVariables(environment: Environment): string[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (/PROXY$/i.test(name)) return passwordOf(value);
    if (name === "ANTHROPIC_CUSTOM_HEADERS") {
      return value.split("\n").flatMap((line) => secretsOfHeader(line.slice(line.indexOf(":") + 1)));
    }
    // The path of a file with a key is none itself.
    return NAMES.test(name) && !NO_SECRETS.has(name) && !/^[/.~]/.test(value) ? [value] : [];
  });
}

function secretsOfServer({ env, headers }: ServerOptions): string[] {
  return [...secretsOfVariables(stringsOf(env)), ...Object.values(stringsOf(headers)).flatMap(secretsOfHeader)];
}

/** The value of a header, and that without its scheme: `Bearer …`. */
function secretsOfHeader(value: string): string[] {
  const words = value.trim();
  return [words, words.slice(words.lastIndexOf(" ") + 1)];
}

function stringsOf(value: unknown): Record<string, string> {
  if (typeof value !== "object" || value === null) return {};
  const strings = Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return Object.fromEntries(strings);
}

function passwordOf(url: string): string[] {
  const { password = "" } = URL.parse(url) ?? {};
  return [password, unescaped(password)];
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The text without the secrets. */
export function hide(text: string, secrets: Secrets): string {
  return secrets.reduce((hidden, secret) => hidden.replaceAll(secret, HIDDEN), text);
}

/** A message of the process, which is JSON, without them. */
export function hideInMessage<Message extends object>(message: Message, secrets: Secrets): Message {
  const json = JSON.stringify(message);
  const hidden = hide(
    json,
    secrets.map((secret) => JSON.stringify(secret).slice(1, -1)),
  );
  return hidden === json ? message : (JSON.parse(hidden) as Message);
}

/** How much at the end of a text may be the beginning of a secret, in characters. */
export function begunAtEnd(text: string, secrets: Secrets): number {
  let longest = 0;
  for (const secret of secrets) {
    const first = secret.slice(0, 1);
    let at = text.indexOf(first, text.length - secret.length + 1);
    while (at !== -1 && !secret.startsWith(text.slice(at))) at = text.indexOf(first, at + 1);
    if (at !== -1) longest = Math.max(longest, text.length - at);
  }
  return longest;
}

/** What may be the beginning of a secret, as it may be shown. */
export function hideBegun(text: string): string {
  return text.length < SHORTEST_SECRET ? text : HIDDEN;
}
