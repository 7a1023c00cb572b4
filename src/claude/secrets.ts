/** Values that must not be shown. */
export type Secrets = readonly string[];

/** Replaces a secret. */
const HIDDEN = "[hidden]";

/** Shorter values are not treated as secrets, because they may occur anywhere. */
const SHORTEST_SECRET = 8;

/** Names of variables that hold secrets. Token counts are not secrets. */
const NAMES =
  /(?:^|_)(?:API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|BEARER|BEDROCK|PAT|PWD)$/i;

/** Directory variables whose names resemble password variables. */
const NO_SECRETS: ReadonlySet<string> = new Set(["PWD", "OLDPWD"]);

type Environment = Readonly<Record<string, string | undefined>>;

/** The options of MCP servers that may hold secrets. */
interface ServerOptions {
  readonly env?: unknown;
  readonly headers?: unknown;
}

/**
 * Returns the keys, tokens and passwords that a process receives: in its environment, including proxies and custom
 * headers, and for its MCP servers.
 */
export function secretsIn(environment: Environment, servers: Readonly<Record<string, object>> = {}): Secrets {
  const found = [...secretsOfVariables(environment), ...Object.values(servers).flatMap(secretsOfServer)];
  const long = found.map((secret) => secret.trim()).filter((secret) => secret.length >= SHORTEST_SECRET);
  // Longest first, because one may contain another.
  return [...new Set(long)].toSorted((one, other) => other.length - one.length);
}

function secretsOfVariables(environment: Environment): string[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (/PROXY$/i.test(name)) return passwordOf(value);
    if (name === "ANTHROPIC_CUSTOM_HEADERS") {
      return value.split("\n").flatMap((line) => secretsOfHeader(line.slice(line.indexOf(":") + 1)));
    }
    // The path of a key file is not a secret.
    return NAMES.test(name) && !NO_SECRETS.has(name) && !/^[/.~]/.test(value) ? [value] : [];
  });
}

function secretsOfServer({ env, headers }: ServerOptions): string[] {
  return [...secretsOfVariables(stringsOf(env)), ...Object.values(stringsOf(headers)).flatMap(secretsOfHeader)];
}

/** Returns a header's value, and the value without its scheme, as in `Bearer …`. */
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

/** Returns the text with secrets replaced. */
export function hide(text: string, secrets: Secrets): string {
  return secrets.reduce((hidden, secret) => hidden.replaceAll(secret, HIDDEN), text);
}

/** Returns a message of the process, which is JSON, with secrets replaced. */
export function hideInMessage<Message extends object>(message: Message, secrets: Secrets): Message {
  const json = JSON.stringify(message);
  const hidden = hide(
    json,
    secrets.map((secret) => JSON.stringify(secret).slice(1, -1)),
  );
  return hidden === json ? message : (JSON.parse(hidden) as Message);
}

/** Returns how many characters at the end of a text may be the beginning of a secret. */
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

/** Returns a displayable form of what may be the beginning of a secret. */
export function hideBegun(text: string): string {
  return text.length < SHORTEST_SECRET ? text : HIDDEN;
}
