import { createRequire } from "node:module";

/** The release of Castellan that this is. */
export const RELEASE: string = (
  createRequire(import.meta.url)("castellan/package.json") as { readonly version: string }
).version;
