import { keyOf, type Name, nameOfKey } from "./name.ts";

/** The pages of all sessions, by the first part of their path. */
const PAGES = {
  "": "fleet",
  tree: "tree",
  approvals: "approvals",
  costs: "costs",
  cluster: "cluster",
} as const;

/** A page of all sessions. */
export type PageName = (typeof PAGES)[keyof typeof PAGES];

/** What an address shows. */
export type Address =
  | { readonly page: PageName }
  | { readonly page: "session"; readonly name: Name }
  | { readonly page: "missing" };

/** Returns what a path shows. @param path below the base path, such as `/sessions/%22a%22` */
export function addressOf(path: string): Address {
  const parts = path.split("/").filter((part) => part !== "");
  const [first = "", second, ...rest] = parts;
  const page = Object.entries(PAGES).find(([part]) => part === first)?.[1];
  if (page !== undefined && second === undefined) return { page };
  if (first === "sessions" && second !== undefined && rest.length === 0) {
    const name = nameOfKey(decoded(second));
    if (name !== undefined) return { page: "session", name };
  }
  return { page: "missing" };
}

/** Returns the path of an address, below the base path. */
export function pathOf(address: Exclude<Address, { page: "missing" }>): string {
  if ("name" in address) return `/sessions/${encodeURIComponent(keyOf(address.name))}`;
  return address.page === "fleet" ? "/" : `/${address.page}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}
