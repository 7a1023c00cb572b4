import { z } from "zod";
import { formatDuration } from "../../duration.ts";
import { PROTOCOLS } from "../protocol/protocol.ts";
import { type Destination, Unreachable } from "../protocol/transport.ts";
import { certificateWords } from "./tls-fault.ts";

/** Why a node refuses a request, and the HTTP status for it. */
export const REFUSALS = {
  /** The signature is missing, wrong, or by an unknown secret. */
  unauthentic: 401,
  /** The signing time is too far from the node's clock. */
  skewed: 401,
  /** The node has already had this request. */
  replayed: 401,
  /** The node trusts only certificates of its authorities, and the sender's is none. */
  certificate: 403,
  /** The request is for another run of a node. */
  elsewhere: 421,
  too_large: 413,
  /** The node does not speak the request's protocol. */
  protocol: 426,
  malformed: 400,
  /** Too many requests are open, or too many came within a minute. */
  busy: 503,
  /** The node is shutting down. */
  closing: 503,
} as const;

export type RefusalReason = keyof typeof REFUSALS;

/** A refusal as it is sent: the reason, and the facts that a person needs to act on it. */
export interface Refusal {
  readonly reason: RefusalReason;
  /** How far the sender's clock is ahead of the node's, in milliseconds. */
  readonly aheadMs?: number;
  readonly limit?: number;
  readonly protocols?: readonly [lowest: number, highest: number];
  readonly release?: string;
  readonly problem?: string;
}

const schema = z.looseObject({
  reason: z.string(),
  aheadMs: z.number().exactOptional(),
  limit: z.number().exactOptional(),
  protocols: z.tuple([z.number(), z.number()]).exactOptional(),
  release: z.string().exactOptional(),
  problem: z.string().exactOptional(),
});

/** A refusal, possibly by a later release. */
export type ReceivedRefusal = Omit<Refusal, "reason"> & { readonly reason: string };

/** Parses a refusal. Returns undefined if the text is not one. */
export function readRefusal(text: string): ReceivedRefusal | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * Refusals that last until a person changes something. For all others a retry may succeed, for instance after a restart
 * of the node.
 */
const PERMANENT: ReadonlySet<string> = new Set(["unauthentic", "skewed", "too_large", "protocol", "malformed"]);

/** A request that a node refused. A retry is refused again, except for `busy`. */
export class Refused extends Unreachable {
  /**
   * See {@link REFUSALS}; later releases may add reasons. `foreign`: the answer did not come from a node of the
   * cluster. `certificate` also if this machine refuses the node's. `tls`: only one of the two sides has TLS.
   */
  readonly reason: string;

  constructor(reason: string, message: string, unsent: boolean) {
    super(message, { unsent, permanent: PERMANENT.has(reason) });
    this.reason = reason;
  }
}

/** Returns the error for a refusal by a node that knows the secret. */
export function refused(to: Destination, refusal: ReceivedRefusal): Refused {
  // A proxy may have sent the request twice, so this answer says nothing of the first copy.
  const taken = refusal.reason === "replayed" || refusal.reason === "skewed";
  return new Refused(refusal.reason, `${nodeAt(to)} refused the request: ${explained(to, refusal)}`, !taken);
}

/** Returns the error for an answer without a valid seal. */
export function unproven(to: Destination, status: number, refusal: ReceivedRefusal | undefined): Refused {
  if (refusal?.reason === "certificate") return certificateRefused(to, refusal.problem ?? "missing");
  if (refusal?.reason === "unauthentic") {
    return new Refused(
      "unauthentic",
      `${nodeAt(to)} has another secret than this machine. Give \`cluster.secret\` the same value on every machine. To rotate it, ` +
        "give every machine the old and the new one; put the new one first only when all machines have it.",
      false,
    );
  }
  return new Refused(
    "foreign",
    `The server at ${to.address} (status ${status}) is not a node of this cluster, or has another secret than this machine. ` +
      `Check what listens there, whether \`cluster.advertise\` of node ${to.boot} is the address that other nodes reach, and ` +
      "whether a proxy is in between.",
    false,
  );
}

/** Returns the error for a node that refuses this machine's certificate. */
function certificateRefused(to: Destination, problem: string): Refused {
  const advice = "Check `cluster.tls` of both machines; files that are replaced are used without a restart.";
  const message = `${nodeAt(to)} refuses the certificate of this machine, which ${certificateWords(problem, "the node")}. ${advice}`;
  return new Refused("certificate", message, true);
}

/**
 * Returns the error for a node whose certificate this machine refuses. Nothing was sent.
 *
 * @param code the code of OpenSSL or Node.js
 */
export function certificateOf(to: Destination, code: string, said: string): Refused {
  const advice = "Check `cluster.tls` of both machines; files that are replaced are used without a restart.";
  const message = `${nodeAt(to)} has a certificate that ${certificateWords(code, "this machine")} (${said}). ${advice}`;
  return new Refused("certificate", message, true);
}

/** Returns the error for a node that does not speak TLS as this machine does. Nothing was sent. */
export function withoutTls(to: Destination, said?: string): Refused {
  const message =
    said === undefined
      ? `${nodeAt(to)} has no TLS, and this machine, which has \`cluster.tls\`, sends nothing in the clear. Give every node and client \`cluster.tls\`.`
      : `${nodeAt(to)} does not speak TLS as this machine does (${said}). Give every node and client \`cluster.tls\`, or check the proxy in between.`;
  return new Refused("tls", message, true);
}

/** Names a node in messages. */
export function nodeAt({ boot, address }: Destination): string {
  return `Node ${boot} at ${address}`;
}

function explained(
  to: Destination,
  { reason, aheadMs = 0, limit, protocols, release, problem }: ReceivedRefusal,
): string {
  switch (reason) {
    case "unauthentic":
      return problem === "signature"
        ? "it does not know the secret that this machine signs with. Put a new secret first in `cluster.secret` only when all machines have it."
        : `it was changed in transit (${problem ?? "its signature is invalid"}). Check whether a proxy rewrites requests.`;
    case "skewed":
      return (
        `the clock of this machine is ${formatDuration(Math.round(Math.abs(aheadMs) / 1_000) * 1_000)} ${aheadMs < 0 ? "behind" : "ahead of"} that of the node, ` +
        `and ${formatDuration(limit ?? 0)} are allowed. Synchronise both clocks by NTP.`
      );
    case "replayed":
      return problem === undefined
        ? "it has already had this request. Check whether a proxy resends requests."
        : `${problem}.`;
    case "elsewhere":
      return "another run of a node has that address now.";
    case "too_large":
      return `it takes at most ${limit ?? "an unknown number of"} bytes. Send less at a time, or raise the limit on every machine.`;
    case "protocol":
      return (
        `it speaks ${protocolsFor(protocols)}${release === undefined ? "" : ` (release ${release})`}, this machine ${protocolsFor(PROTOCOLS)}, ` +
        `and the request is in protocol ${to.protocol}. Update the older of the two.`
      );
    case "malformed":
      return `${problem ?? "it does not understand the request"}. Run releases of Castellan that are closer to each other.`;
    case "busy":
      return `it is at its limit (${limit ?? "unknown"}). Retry later, or spread the sessions over more machines.`;
    case "closing":
      return "it is shutting down.";
    default:
      return `${reason}${problem === undefined ? "" : `, ${problem}`}.`;
  }
}

function protocolsFor(protocols: readonly [number, number] | undefined): string {
  if (protocols === undefined) return "other protocols";
  const [lowest, highest] = protocols;
  return lowest === highest ? `protocol ${lowest}` : `protocols ${lowest} to ${highest}`;
}

/** Returns the error for a node without a common protocol. Nothing is sent to it. */
export function noCommonProtocol(to: Destination): Refused {
  return new Refused(
    "protocol",
    `${nodeAt(to)} is asked in protocol ${to.protocol}, but this machine speaks ${protocolsFor(PROTOCOLS)}. Update the older of the two.`,
    true,
  );
}
