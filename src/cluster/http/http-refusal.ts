import { z } from "zod";
import { formatDuration } from "../../duration.ts";
import { PROTOCOLS } from "../protocol/protocol.ts";
import { type Destination, Unreachable } from "../protocol/transport.ts";

/** Why a node does not take a request up, and the status that says so. */
export const REFUSALS = {
  /** It is not signed with a secret that the node knows, or not as it is. */
  unauthentic: 401,
  /** It was signed too long ago, or too far ahead, by the node's clock. */
  skewed: 401,
  /** The node has had it before. */
  replayed: 401,
  /** It is meant for another run of a node. */
  elsewhere: 421,
  too_large: 413,
  /** It is in a protocol that the node does not speak. */
  protocol: 426,
  malformed: 400,
  /** As many requests as may be are open, or too many have come of late. */
  busy: 503,
  /** The node ends. */
  closing: 503,
} as const;

export type RefusalReason = keyof typeof REFUSALS;

/** A refusal, as it is sent: the reason, and what a person has to know to do something about it. */
export interface Refusal {
  readonly reason: RefusalReason;
  /** How far the clock of whoever asks is ahead of the node's, in milliseconds. */
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

/** A refusal that may be one of a later release. */
export type ReceivedRefusal = Omit<Refusal, "reason"> & { readonly reason: string };

/** What the text of a refusal says; `undefined` if it is none. */
export function readRefusal(text: string): ReceivedRefusal | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** What stays as it is until a person changes something. A node that has just come back may answer otherwise to the rest. */
const HOPELESS: ReadonlySet<string> = new Set(["unauthentic", "skewed", "too_large", "protocol", "malformed"]);

/** A request that a node has got and has not taken up; asking again the same way is refused again, but for `busy`. */
export class Refused extends Unreachable {
  /** See {@link REFUSALS}; there may be others in later releases. `foreign`: whoever answered is no node of the cluster. */
  readonly reason: string;

  constructor(reason: string, message: string, unsent: boolean) {
    super(message, { unsent, hopeless: HOPELESS.has(reason) });
    this.reason = reason;
  }
}

/** The refusal of a node that has shown that it has the secret. */
export function refused(to: Destination, refusal: ReceivedRefusal): Refused {
  // Somebody on the way may have let a request through and sent it once more, so that the second answer says nothing of the first.
  const taken = refusal.reason === "replayed" || refusal.reason === "skewed";
  return new Refused(refusal.reason, `${nodeAt(to)} has refused the request: ${explained(to, refusal)}`, !taken);
}

/** The answer of somebody who has not shown that he has the secret. */
export function unproven(to: Destination, status: number, refusal: ReceivedRefusal | undefined): Refused {
  if (refusal?.reason === "unauthentic") {
    return new Refused(
      "unauthentic",
      `${nodeAt(to)} has another secret than this machine. Give \`cluster.secret\` the same value on every machine; to change it, ` +
        "give all of them the old and the new one first: a new one may stand first only when all machines have it.",
      false,
    );
  }
  return new Refused(
    "foreign",
    `Whoever answers at ${to.address} (status ${status}) is no node of this cluster, or has another secret than this machine. ` +
      `See what listens there, whether \`cluster.advertise\` of node ${to.boot} is the address at which the others reach it, and ` +
      "whether a proxy stands in between.",
    false,
  );
}

/** A node for messages. */
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
        ? "it does not know the secret that this machine signs with. In `cluster.secret` a new secret may come first only when all machines have it."
        : `it was changed on its way (${problem ?? "its signature does not hold"}). See whether a proxy in between rewrites requests.`;
    case "skewed":
      return (
        `the clock of this machine is ${formatDuration(Math.abs(aheadMs))} ${aheadMs < 0 ? "behind" : "ahead of"} that of the node, ` +
        `and ${formatDuration(limit ?? 0)} are allowed. Set the clocks of both by NTP.`
      );
    case "replayed":
      return problem === undefined
        ? "it has had the same request before. See whether a proxy in between sends requests again."
        : `${problem}.`;
    case "elsewhere":
      return "another run of a node has that address by now.";
    case "too_large":
      return `it takes at most ${limit ?? "an unknown number of"} bytes. Ask for less at a time, or raise the limit on every machine.`;
    case "protocol":
      return (
        `it speaks ${protocolsFor(protocols)}${release === undefined ? "" : ` (release ${release})`}, this machine ${protocolsFor(PROTOCOLS)}, ` +
        `and the request is in protocol ${to.protocol}. Update the older of the two.`
      );
    case "malformed":
      return `${problem ?? "it does not understand it"}. Run releases of Castellan that are closer to each other.`;
    case "busy":
      return `it has as much to do as it may (${limit ?? "unknown"}). Ask again later, or spread the sessions over more machines.`;
    case "closing":
      return "it ends.";
    default:
      return `${reason}${problem === undefined ? "" : `, ${problem}`}.`;
  }
}

function protocolsFor(protocols: readonly [number, number] | undefined): string {
  if (protocols === undefined) return "other protocols";
  const [lowest, highest] = protocols;
  return lowest === highest ? `protocol ${lowest}` : `protocols ${lowest} to ${highest}`;
}

/** That no protocol is common to both, which is known before anything is sent. */
export function noCommonProtocol(to: Destination): Refused {
  return new Refused(
    "protocol",
    `${nodeAt(to)} is asked in protocol ${to.protocol}, but this machine speaks ${protocolsFor(PROTOCOLS)}. Update the older of the two.`,
    true,
  );
}
