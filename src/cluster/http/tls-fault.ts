import { TLSSocket } from "node:tls";

/** Why a peer's certificate is refused, by the codes of OpenSSL and Node.js. */
const WORDS: Readonly<Record<string, string>> = {
  missing: "is missing",
  CERT_HAS_EXPIRED: "has expired",
  CERT_NOT_YET_VALID: "is not valid yet",
  CERT_REVOKED: "was revoked",
  ERR_TLS_CERT_ALTNAME_INVALID: "is for another name",
  INVALID_PURPOSE: "may not be used so: its extendedKeyUsage needs serverAuth and clientAuth",
};

/** The codes of a certificate that no trusted authority has issued. */
const FOREIGN: ReadonlySet<string> = new Set([
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "CERT_UNTRUSTED",
  "CERT_SIGNATURE_FAILURE",
  "INVALID_CA",
]);

/** Returns what is wrong with a certificate, as the end of a sentence. @param to whose authorities count */
export function certificateWords(code: string, to: string): string {
  if (FOREIGN.has(code)) return `is not issued by an authority that ${to} trusts`;
  return WORDS[code] ?? `is refused (${code})`;
}

/** Returns the code of a peer's refused certificate if that is why a connection failed. */
export function certificateFault(error: unknown): string | undefined {
  const code = codeOf(error);
  return code !== undefined && (FOREIGN.has(code) || code in WORDS) ? code : undefined;
}

/** Whether a connection failed because the other side does not speak TLS, or not with this side. */
export function isTlsFault(error: unknown): boolean {
  const code = codeOf(error);
  return code?.startsWith("ERR_SSL_") === true || code === "EPROTO";
}

/** Whether somebody spoke plain HTTP to a server that speaks TLS. */
export function isPlainHttp(error: unknown): boolean {
  return codeOf(error) === "ERR_SSL_HTTP_REQUEST";
}

/** Returns why the peer of a server's connection is not to be trusted; undefined if it is. */
export function peerFault(socket: unknown): string | undefined {
  if (!(socket instanceof TLSSocket)) return "missing";
  // First: some releases of Node.js count a resumed session without a certificate as authorized.
  if (socket.getPeerX509Certificate() === undefined) return "missing";
  if (socket.authorized) return undefined;
  // A code, whatever the types say.
  return String(socket.authorizationError);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
