import { keyOf, type Name, nameOfKey } from "./name.ts";

/** What an address shows. */
export type Address =
  | { readonly page: "fleet" }
  | { readonly page: "session"; readonly name: Name }
  | { readonly page: "missing" };

/** Returns what a path shows. @param path below the base path, such as `/sessions/%22a%22` */
export function addressOf(path: string): Address {
  const parts = path.split("/").filter((part) => part !== "");
  if (parts.length === 0) return { page: "fleet" };
  const [first, second, ...rest] = parts;
  if (first === "sessions" && second !== undefined && rest.length === 0) {
    const name = nameOfKey(decoded(second));
    if (name !== undefined) return { page: "session", name };
  }
  return { page: "missing" };
}

/** Returns the path of an address, below the base path. */
export function pathOf(address: Exclude<Address, { page: "missing" }>): string {
  return address.page === "fleet" ? "/" : `/sessions/${encodeURIComponent(keyOf(address.name))}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}
