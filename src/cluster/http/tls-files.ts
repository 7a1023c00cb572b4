import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { createSecureContext } from "node:tls";
import type { OptionProblem } from "../../errors.ts";

/** Where a machine's certificate, its key, and the authorities that it trusts are, each a file in PEM. */
export interface TlsPaths {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** The name in the certificates of all nodes, in place of the hosts of their addresses. */
  readonly serverName?: string | undefined;
}

/** The contents of the files. */
export interface TlsFiles {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

const FIELDS = ["ca", "cert", "key"] as const;

/** Reads the files. @returns their contents, or the file that cannot be read */
export function readTlsFiles(paths: TlsPaths): TlsFiles | OptionProblem {
  const contents: Partial<Record<keyof TlsFiles, Buffer>> = {};
  for (const field of FIELDS) {
    try {
      contents[field] = readFileSync(paths[field]);
    } catch (error) {
      return unreadable(field, error);
    }
  }
  return contents as TlsFiles;
}

/** As {@link readTlsFiles}, without blocking the event loop. */
export async function rereadTlsFiles(paths: TlsPaths): Promise<TlsFiles | OptionProblem> {
  const contents: Partial<Record<keyof TlsFiles, Buffer>> = {};
  for (const field of FIELDS) {
    try {
      contents[field] = await readFile(paths[field]);
    } catch (error) {
      return unreadable(field, error);
    }
  }
  return contents as TlsFiles;
}

/** What a certificate is used for. */
export interface TlsUse {
  /** Wall-clock time, in milliseconds since the epoch. */
  readonly now: number;
  /** The host by which others reach the machine; undefined for one that only calls others. */
  readonly host: string | undefined;
  readonly serverName?: string | undefined;
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The longest chain of certificates to follow. */
const LONGEST_CHAIN = 8;

/** Extended key usages of RFC 5280, section 4.2.1.12: for servers and for clients. */
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

/** Returns the machine's own certificate. @throws an Error if the file has none */
export function certificateIn({ cert }: Pick<TlsFiles, "cert">): X509Certificate {
  return new X509Certificate(cert);
}

/** Returns what is wrong with the files, as other nodes would find; undefined if nothing is. */
export function tlsProblem(files: TlsFiles, use: TlsUse): OptionProblem | undefined {
  const roots = certificatesIn(files.ca);
  if (roots === undefined) return { field: "tls.ca", message: "contains no certificates in PEM" };
  const chain = certificatesIn(files.cert);
  const leaf = chain?.[0];
  if (chain === undefined || leaf === undefined) {
    return { field: "tls.cert", message: "contains no certificate in PEM" };
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(files.key);
  } catch {
    return { field: "tls.key", message: "contains no private key in PEM without a passphrase" };
  }
  if (!leaf.checkPrivateKey(key))
    return { field: "tls.key", message: "is not the key of the certificate in `tls.cert`" };
  const message =
    timeProblem(leaf, use.now) ??
    issuerProblem(leaf, chain, roots, use.now) ??
    useProblem(leaf, use) ??
    contextProblem(files);
  return message === undefined ? undefined : { field: "tls.cert", message };
}

function certificatesIn(file: Buffer): X509Certificate[] | undefined {
  const found = file.toString("latin1").match(PEM) ?? [];
  try {
    return found.length === 0 ? undefined : found.map((one) => new X509Certificate(one));
  } catch {
    return undefined;
  }
}

function timeProblem({ validFromDate: from, validToDate: to }: X509Certificate, now: number): string | undefined {
  const at = new Date(now).toISOString();
  if (now > to.getTime()) return `expired at ${to.toISOString()}, and it is ${at} here`;
  if (now < from.getTime()) return `is not valid before ${from.toISOString()}, and it is ${at} here`;
  return undefined;
}

/** Follows the chain to an authority that is trusted. */
function issuerProblem(
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  now: number,
): string | undefined {
  let current = leaf;
  for (let length = 0; length < LONGEST_CHAIN; length++) {
    const root = roots.find((one) => isIssuedBy(current, one));
    const issuer = root ?? chain.find((one) => one !== current && isIssuedBy(current, one));
    if (issuer === undefined) break;
    const late = timeProblem(issuer, now);
    if (late !== undefined) return `is issued by ${nameOf(issuer.subject)}, whose certificate ${late}`;
    if (root !== undefined) return undefined;
    current = issuer;
  }
  const known = roots.map(({ subject }) => nameOf(subject)).join(", ");
  return `is issued by ${nameOf(current.issuer)}, which is none of the authorities in \`tls.ca\`: ${known}`;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function useProblem(leaf: X509Certificate, { host, serverName }: TlsUse): string | undefined {
  // Undefined, whatever the types say, for a certificate that is not limited to some uses.
  const uses: readonly string[] | undefined = leaf.keyUsage;
  const needed = host === undefined ? [CLIENT_AUTH] : [SERVER_AUTH, CLIENT_AUTH];
  if (uses !== undefined && needed.some((one) => !uses.includes(one))) {
    const words = host === undefined ? "clientAuth" : "serverAuth and clientAuth, since nodes also call each other";
    return `may not be used so: its extendedKeyUsage needs ${words}`;
  }
  if (host === undefined) return undefined;
  const name = serverName ?? host.replace(/^\[|\]$/g, "");
  const matches = isIP(name) > 0 ? leaf.checkIP(name) : leaf.checkHost(name);
  if (matches !== undefined) return undefined;
  const of = serverName === undefined ? "the host of `advertise`" : "`tls.serverName`";
  return `is for ${leaf.subjectAltName ?? "no name"}, not for ${name}, ${of}`;
}

/** Returns why OpenSSL does not use the files, such as a key that is too short. */
function contextProblem(files: TlsFiles): string | undefined {
  try {
    createSecureContext({ ...files });
    return undefined;
  } catch (error) {
    return `cannot be used: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Returns a subject or issuer on one line. */
function nameOf(distinguished: string | undefined): string {
  return JSON.stringify((distinguished ?? "nobody").split("\n").join(", "));
}

function unreadable(field: keyof TlsFiles, error: unknown): OptionProblem {
  return {
    field: `tls.${field}`,
    message: `cannot be read: ${error instanceof Error ? error.message : String(error)}`,
  };
}

/** Whether reading failed. */
export function isProblem(read: TlsFiles | OptionProblem): read is OptionProblem {
  return "message" in read;
}
