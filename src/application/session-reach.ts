import { PROTOCOLS } from "../cluster/protocol/protocol.ts";
import type { Reach } from "../journal/handover/party.ts";

/** How an earlier process of the application reaches the sessions of this one. */
export interface SessionReach extends Reach {
  /** On the loopback interface. */
  readonly address: string;
  readonly secret: string;
  readonly boot: string;
  readonly protocol: number;
}

/** Checks what another release says of itself. @throws TypeError */
export function readReach({ address, secret, boot, protocol }: Reach): SessionReach {
  const texts = [address, secret, boot].every((value) => typeof value === "string");
  if (!texts || protocol !== PROTOCOLS[1]) throw new TypeError("the next process speaks another protocol");
  return { address: String(address), secret: String(secret), boot: String(boot), protocol };
}
