import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

/** A file of the page, as it is served. */
export interface PageFile {
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly gzipped: Uint8Array<ArrayBuffer>;
  readonly etag: string;
}

const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml; charset=utf-8",
};

/** Where the build puts the page: beside the built modules. The sources use that of the last build. */
const FOLDER = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../../dist/page/" : "./page/", import.meta.url),
);

/** The files of the page. They are read once, at the first request. */
export class PageFiles {
  readonly #folder: string;
  #files: Promise<ReadonlyMap<string, PageFile>> | undefined;

  constructor(folder: string = FOLDER) {
    this.#folder = folder;
  }

  /** Returns a file by its name. @throws Error if the page has not been built */
  async find(name: string): Promise<PageFile | undefined> {
    this.#files ??= read(this.#folder).catch((error: unknown) => {
      this.#files = undefined;
      throw new Error(`${this.#folder} has no page. \`npm run build\` makes it.`, { cause: error });
    });
    return (await this.#files).get(name);
  }

  /** Returns the total size of all files as browsers load them, in bytes. */
  async gzippedSize(): Promise<number> {
    const files = await read(this.#folder);
    return [...files.values()].reduce((sum, { gzipped }) => sum + gzipped.byteLength, 0);
  }
}

async function read(folder: string): Promise<ReadonlyMap<string, PageFile>> {
  const names = (await readdir(folder)).filter((name) => extname(name) in TYPES);
  if (!names.includes("page.js")) throw new Error(`${folder}: page.js is missing`);
  const files = names.map(async (name): Promise<[string, PageFile]> => {
    const bytes = new Uint8Array(await readFile(`${folder}/${name}`));
    const gzipped = new Uint8Array(await promisify(gzip)(bytes, { level: 9 }));
    const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
    return [name, { type: TYPES[extname(name)] ?? "", bytes, gzipped, etag }];
  });
  return new Map(await Promise.all(files));
}

/** Answers with a file: not at all if the browser has it, and compressed if it can. */
export function fileResponse({ type, bytes, gzipped, etag }: PageFile, { headers }: Request): Response {
  const answer = { etag, "cache-control": "no-cache", vary: "accept-encoding" };
  if (headers.get("if-none-match")?.includes(etag) === true)
    return new Response(null, { status: 304, headers: answer });
  const compressed = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/.test(headers.get("accept-encoding") ?? "");
  const encoding = compressed ? { "content-encoding": "gzip" } : undefined;
  return new Response(compressed ? gzipped : bytes, { headers: { ...answer, ...encoding, "content-type": type } });
}
