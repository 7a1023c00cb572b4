import { BlockList, isIP, isIPv6 } from "node:net";

/** The networks that are not public (RFC 6890), with those that lead to other addresses. */
const NOT_PUBLIC: readonly (readonly [address: string, prefix: number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  // The metadata services of clouds, too.
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
  ["::", 96],
  ["64:ff9b::", 96],
  ["64:ff9b:1::", 48],
  ["100::", 64],
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8],
];

const LOOPBACK: readonly (readonly [address: string, prefix: number])[] = [
  ["127.0.0.0", 8],
  ["::1", 128],
];

function listOf(networks: typeof NOT_PUBLIC): BlockList {
  const list = new BlockList();
  for (const [address, prefix] of networks) list.addSubnet(address, prefix, isIPv6(address) ? "ipv6" : "ipv4");
  return list;
}

/** Made when they are first needed: the first address that Node.js parses takes it several milliseconds. */
let notPublic: BlockList | undefined;
let loopback: BlockList | undefined;

/** Whether an address belongs to the public internet. The list also finds IPv4 addresses that are mapped to IPv6. */
export function isPublic(address: string): boolean {
  const version = isIP(address);
  if (version === 0) return false;
  notPublic ??= listOf(NOT_PUBLIC);
  return !notPublic.check(address, version === 6 ? "ipv6" : "ipv4");
}

/** Whether a host is this machine: `localhost` or a loopback address. */
export function isLoopback(host: string): boolean {
  const version = isIP(host);
  if (version === 0) return host === "localhost" || host.endsWith(".localhost");
  loopback ??= listOf(LOOPBACK);
  return loopback.check(host, version === 6 ? "ipv6" : "ipv4");
}
