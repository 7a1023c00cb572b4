import { createHash, timingSafeEqual } from "node:crypto";
import type { SessionName } from "../../names.ts";
import type { Caller, Scope } from "../http/caller.ts";

/** A token as it is stored: everything but the secret. */
export interface TokenInfo {
  /** Public; the first part of the token. */
  readonly id: string;
  readonly scopes: readonly Scope[];
  /** The token reaches only names that begin so. Absent for all. */
  readonly prefix?: SessionName;
  /** The token reaches only sessions with these labels. Absent for all. */
  readonly labels?: Readonly<Record<string, string>>;
  /** What the token is for, in the words of whoever created it. */
  readonly note?: string;
  /** Milliseconds since the epoch, as all times here. */
  readonly createdAt: number;
  readonly expiresAt?: number;
  readonly revokedAt?: number;
}

/** A stored token with what proves it. */
export interface StoredToken extends TokenInfo {
  /** SHA-256 of the secret, as hexadecimal. The secret is random, so it needs no salt and no slow hash. */
  readonly hash: string;
}

/** Bytes of randomness in a secret. */
export const SECRET_BYTES = 32;

/** Bytes of randomness in an id. */
export const ID_BYTES = 8;

/** `castellan_`, the id, `_` and the secret in base64url. The prefix lets scanners of leaked secrets find it. */
const FORM = /^castellan_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;

/** Formats a token: what the caller sends. */
export function formatToken(id: string, secret: string): string {
  return `castellan_${id}_${secret}`;
}

/** Returns the parts of a token, or undefined if `text` has another form. */
export function parseToken(text: string): { readonly id: string; readonly secret: string } | undefined {
  const [, id, secret] = FORM.exec(text) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}

/** Returns what is stored of a secret. */
export function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

/** Compared with if no token has the id, so that the answer takes as long. */
const NO_HASH = "0".repeat(64);

/** Whether the secret is that of the stored token. Takes the same time whatever differs. */
export function proves(secret: string, stored: StoredToken | undefined): boolean {
  const equal = timingSafeEqual(Buffer.from(hashOf(secret), "hex"), Buffer.from(stored?.hash ?? NO_HASH, "hex"));
  return equal && stored !== undefined;
}

/** Whether the token is neither revoked nor expired. */
export function isValid({ expiresAt, revokedAt }: TokenInfo, now: number): boolean {
  return revokedAt === undefined && (expiresAt === undefined || now < expiresAt);
}

/** Returns the caller that a token stands for. */
export function callerOf({ id, scopes, prefix, labels }: TokenInfo): Caller {
  return {
    id: `token:${id}`,
    scopes: new Set(scopes),
    ...(prefix !== undefined && { prefix }),
    ...(labels !== undefined && { labels }),
  };
}

/** Returns the tokens that a request sends: as `Authorization: Bearer …`, and as `x-api-key`. */
export function sentTokens(headers: Headers): string[] {
  const [, bearer] = /^Bearer +(\S+) *$/i.exec(headers.get("authorization") ?? "") ?? [];
  return [bearer, headers.get("x-api-key") ?? undefined].filter((token) => token !== undefined);
}
