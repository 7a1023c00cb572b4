import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { type Clock, systemClock } from "../../clock.ts";
import type { Duration } from "../../duration.ts";
import type { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import type { SessionName } from "../../names.ts";
import { durationSchema, invalidOptions, nameSchema, validate } from "../../session/options/validation.ts";
import { SCOPES, type Scope } from "../http/caller.ts";
import { formatToken, hashOf, ID_BYTES, isValid, SECRET_BYTES, type StoredToken, type TokenInfo } from "./token.ts";

/** The default path of the tokens, in the working directory. */
export const TOKENS_FILE = ".castellan/tokens.jsonl";

/** What a new token allows. */
export interface TokenOptions {
  /** Default `["read"]`. */
  readonly scopes?: readonly Scope[] | undefined;
  /** Only names that begin so. Default: all. */
  readonly prefix?: SessionName | undefined;
  /** Only sessions with all of these labels. Default: all. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** How long the token is valid. Default: until it is revoked. */
  readonly expiresIn?: Duration | undefined;
  /** What the token is for, for lists. Up to 200 characters. */
  readonly note?: string | undefined;
}

const optionsSchema = z.strictObject({
  scopes: z
    .array(z.enum(SCOPES))
    .min(1)
    .default(["read"])
    .transform((scopes) => SCOPES.filter((scope) => scopes.includes(scope))),
  prefix: nameSchema.optional(),
  labels: z.record(z.string().min(1), z.string()).optional(),
  expiresIn: durationSchema.refine((ms) => ms > 0, "expected more than 0").optional(),
  note: z.string().max(200).optional(),
});

const storedSchema = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  scopes: z.array(z.enum(SCOPES)),
  prefix: nameSchema.exactOptional(),
  labels: z.record(z.string(), z.string()).exactOptional(),
  note: z.string().exactOptional(),
  createdAt: z.number(),
  expiresAt: z.number().exactOptional(),
});

/** A line of the file: a token, or that a token is revoked. */
const lineSchema = z.union([storedSchema, z.strictObject({ revoked: z.string(), at: z.number() })]);

/** How long the server uses what it has read of the file, in milliseconds. A revocation takes effect after that at the latest. */
const FRESH_MS = 1_000;

/**
 * The tokens of a server: a file of JSON lines, to which each new token and each revocation is appended, so that two processes may
 * write at once. Only its owner can read it. It holds hashes, no tokens.
 *
 * @example
 * const { token } = await new TokenStore().create({ scopes: ["read", "talk"], prefix: "support", expiresIn: "30d" });
 */
export class TokenStore {
  readonly path: string;
  readonly #clock: Clock;
  #read: { readonly version: string; readonly tokens: ReadonlyMap<string, StoredToken> } | undefined;
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(path: string = TOKENS_FILE, { clock = systemClock }: { readonly clock?: Clock } = {}) {
    this.path = path;
    this.#clock = clock;
  }

  /**
   * Creates a token. This is the only time that it is shown.
   *
   * @throws CastellanError `INVALID_OPTIONS`; the system's error if the file cannot be written
   */
  async create(options: TokenOptions = {}): Promise<{ readonly token: string; readonly info: TokenInfo }> {
    const { expiresIn, ...given } = validate(optionsSchema, options, "token");
    const createdAt = this.#clock.now();
    const secret = randomBytes(SECRET_BYTES).toString("base64url");
    const info = withoutUndefined({
      id: randomBytes(ID_BYTES).toString("hex"),
      ...given,
      createdAt,
      expiresAt: expiresIn === undefined ? undefined : createdAt + expiresIn,
    });
    await this.#append({ ...info, hash: hashOf(secret) });
    return { token: formatToken(info.id, secret), info };
  }

  /** Returns all tokens ever created, the oldest first. */
  async list(): Promise<TokenInfo[]> {
    const tokens = await this.#load();
    return [...tokens.values()].map(({ hash: _, ...info }) => info);
  }

  /**
   * Revokes a token. Idempotent. A running server follows within a second.
   *
   * @returns whether there is a token of this id
   */
  async revoke(id: string): Promise<boolean> {
    const token = (await this.#load()).get(id);
    if (token?.revokedAt === undefined && token !== undefined) {
      await this.#append({ revoked: id, at: this.#clock.now() });
    }
    return token !== undefined;
  }

  /** @internal Returns the token of this id, as the file has been within the last second. */
  async find(id: string): Promise<StoredToken | undefined> {
    const now = this.#clock.monotonic();
    const known = this.#read;
    if (known !== undefined && now - this.#readAt < FRESH_MS) return known.tokens.get(id);
    const tokens = await this.#load();
    this.#readAt = now;
    return tokens.get(id);
  }

  /** Whether there is a token that is neither revoked nor expired. */
  async hasValid(): Promise<boolean> {
    const now = this.#clock.now();
    return [...(await this.#load()).values()].some((token) => isValid(token, now));
  }

  async #load(): Promise<ReadonlyMap<string, StoredToken>> {
    const version = await this.#version();
    if (this.#read?.version === version) return this.#read.tokens;
    const text = version === ABSENT ? "" : await readFile(this.path, "utf8");
    this.#read = { version, tokens: parseTokens(text, this.path) };
    return this.#read.tokens;
  }

  /** Returns what changes whenever the file does. @throws CastellanError `INVALID_OPTIONS` if others may write to the file */
  async #version(): Promise<string> {
    try {
      const { mode, ino, size, mtimeMs } = await stat(this.path);
      if ((mode & 0o022) !== 0) {
        throw unusable(this.path, "other users may write to it; run `chmod 600` on it");
      }
      return `${ino} ${size} ${mtimeMs}`;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return ABSENT;
      throw error;
    }
  }

  async #append(line: object): Promise<void> {
    await mkdir(dirname(this.path), { recursive: true });
    const file = await open(this.path, "a", 0o600);
    try {
      // One write is atomic. The first line feed ends a line that a full disk may have cut.
      const bytes = Buffer.from(`\n${JSON.stringify(line)}\n`);
      const { bytesWritten } = await file.write(bytes);
      if (bytesWritten < bytes.length) throw new Error(`${this.path}: the disk is full.`);
      await file.sync();
    } finally {
      await file.close();
    }
    this.#readAt = Number.NEGATIVE_INFINITY;
  }
}

const ABSENT = "absent";

/** @throws CastellanError `INVALID_OPTIONS` for a record of another kind, which may limit a token */
function parseTokens(text: string, path: string): ReadonlyMap<string, StoredToken> {
  const tokens = new Map<string, StoredToken>();
  for (const [index, line] of text.split("\n").entries()) {
    const json = jsonOf(line);
    // Empty, or cut by a full disk: its writer has reported a failure.
    if (json === undefined) continue;
    const parsed = lineSchema.safeParse(json);
    if (!parsed.success) throw unusable(path, `line ${index + 1} is no token of this version; remove the line`);
    const { data } = parsed;
    const revoked = "revoked" in data ? tokens.get(data.revoked) : undefined;
    if (!("revoked" in data)) tokens.set(data.id, data);
    else if (revoked !== undefined) tokens.set(revoked.id, { ...revoked, revokedAt: data.at });
  }
  return tokens;
}

/** Returns the value of a line, or undefined if the line is not JSON. */
function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function unusable(path: string, message: string): CastellanError<"INVALID_OPTIONS"> {
  return invalidOptions("server", [{ field: "tokens", message: `${path}: ${message}` }]);
}
