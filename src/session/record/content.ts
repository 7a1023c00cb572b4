import { createHash } from "node:crypto";
import type { ContentEntry } from "../../journal/model/event-entry.ts";
import type { Json, JsonObject } from "../../journal/model/session-entry.ts";

/** What an event has in place of a large or binary content, which is stored once for all events that name it. */
export interface ContentReference {
  /** SHA-256 of the content, in hexadecimal. */
  readonly $content: string;
  /** In bytes. */
  readonly size: number;
  /** `text/plain` for a text, `application/json` for other JSON, and the media type of a binary content. */
  readonly mediaType: string;
}

/** A large or binary content of an event. */
export interface EventContent {
  readonly mediaType: string;
  readonly data: Uint8Array;
}

/** The largest string or field that stays in an event, in bytes of UTF-8. */
export const MOST_INLINE = 65_536;

/** The largest content that is stored, in bytes. Events name a larger one without its bytes. */
const MOST_STORED = 64 * 1024 * 1024;

/** An event's fields without large and binary contents, and those contents. */
export interface Extracted {
  readonly body: JsonObject;
  /** The contents to store, each once. */
  readonly contents: readonly ContentEntry[];
  /** The approximate size of `body` in characters. */
  readonly size: number;
}

/** The fields whose types allow a reference. */
const WITH_CONTENTS: ReadonlySet<string> = new Set([
  "prompt",
  "blocks",
  "text",
  "summary",
  "input",
  "output",
  "suggestions",
  "structured",
  "raw",
]);

/** How many characters remain of a large string in any other field, such as the message of an error. */
const MOST_PLAIN = 16_384;

/** How to take out contents. */
export interface ExtractOptions {
  /** The largest content to store, in bytes. Default: 64 MB. */
  readonly mostStored?: number;
  /** Where to put the fields. Default: a new object. */
  readonly into?: Record<string, Json>;
  /** Fields to leave out. Default: none. */
  readonly omit?: ReadonlySet<string>;
}

/**
 * Takes large and binary contents out of an event's fields: each string over 64 kB, the data of each base64 source, and
 * then each field that is still over 64 kB. Cuts large strings in fields that cannot have a reference. Returns copies.
 */
export function extractContents(
  fields: object,
  { mostStored = MOST_STORED, into: body = {}, omit }: ExtractOptions = {},
): Extracted {
  let found: Contents | undefined;
  let size = 0;
  for (const name of Object.keys(fields)) {
    const value: unknown = fields[name as keyof typeof fields];
    if (value === undefined || omit?.has(name) === true) continue;
    // Most fields are short, and a look at them is enough.
    if (typeof value === "number" || (typeof value === "string" && value.length <= SHORT)) {
      body[name] = typeof value === "number" && !Number.isFinite(value) ? null : value;
      size += 8 + (typeof value === "string" ? value.length : 0);
      continue;
    }
    found ??= new Contents(mostStored);
    const before = found.size;
    found.cuts = !WITH_CONTENTS.has(name);
    const small = found.take(value);
    // Only the content of a field that may be too large is worth its JSON.
    const isLarge = !found.cuts && found.size - before > MOST_INLINE / MOST_BYTES_PER_CHARACTER;
    body[name] = isLarge ? found.takeWhole(small) : small;
    size += isLarge ? Math.min(found.size - before, MOST_INLINE) : found.size - before;
  }
  return { body, contents: found?.stored === undefined ? [] : [...found.stored.values()], size };
}

/** How deeply an event's fields may nest. JSON and databases have limits of their own, beyond this one. */
const DEEPEST = 500;

/** Replaces what nests deeper. */
const TOO_DEEP: JsonObject = { $omitted: "nests too deeply" };

/** A string of up to this length is never a content, in characters. */
const SHORT = 4_096;

/** The most bytes that a character of a string can take in JSON: a control character or a lone surrogate is escaped. */
const MOST_BYTES_PER_CHARACTER = 6;

class Contents {
  /** The contents to store, by hash, once there is one. */
  stored: Map<string, ContentEntry> | undefined;
  /** The approximate size in characters of what stays. */
  size = 0;
  /** Whether to cut large strings instead. */
  cuts = false;
  readonly #mostStored: number;

  constructor(mostStored: number) {
    this.#mostStored = mostStored;
  }

  /** Returns the value without its large strings and binary data. */
  take(value: unknown, depth = 0): Json {
    this.size += 8;
    if (typeof value === "string") return this.#text(value);
    if (typeof value === "number") return Number.isFinite(value) ? value : null;
    if (typeof value === "boolean") return value;
    if (typeof value !== "object" || value === null) return null;
    if (depth === DEEPEST) return TOO_DEEP;
    if (Array.isArray(value)) return value.map((one) => this.take(one, depth + 1));
    if (!this.cuts && isBase64Source(value)) {
      const { data, ...rest } = value;
      return { ...this.#object(rest, depth), data: this.#reference(Buffer.from(data, "base64"), value.media_type) };
    }
    return this.#object(value, depth);
  }

  /** Returns a reference to the whole value if its JSON is large. */
  takeWhole(value: Json): Json {
    const bytes = Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
    return bytes.length > MOST_INLINE ? this.#reference(bytes, "application/json") : value;
  }

  #object(value: object, depth: number): JsonObject {
    const copy: Record<string, Json> = {};
    for (const [name, field] of Object.entries(value)) {
      if (field === undefined || typeof field === "function") continue;
      this.size += name.length;
      const taken = this.take(field, depth + 1);
      if (name !== "__proto__") copy[name] = taken;
      // An assignment would change the prototype.
      else Object.defineProperty(copy, name, { value: taken, enumerable: true, configurable: true, writable: true });
    }
    return copy;
  }

  #text(text: string): Json {
    const isLarge =
      text.length > MOST_INLINE || (text.length * 3 > MOST_INLINE && Buffer.byteLength(text) > MOST_INLINE);
    if (!isLarge) {
      this.size += text.length;
      return text;
    }
    if (this.cuts) {
      this.size += MOST_PLAIN;
      return `${text.slice(0, MOST_PLAIN)}…`.toWellFormed();
    }
    // UTF-8 cannot encode lone surrogates; JSON escapes them.
    if (text.isWellFormed()) return this.#reference(Buffer.from(text), "text/plain");
    return this.#reference(Buffer.from(JSON.stringify(text)), "application/json");
  }

  #reference(data: Uint8Array, mediaType: string): JsonObject {
    const hash = createHash("sha256").update(data).digest("hex");
    this.stored ??= new Map();
    if (data.length <= this.#mostStored) this.stored.set(hash, { hash, mediaType, data });
    return { $content: hash, size: data.length, mediaType };
  }
}

interface Base64Source {
  readonly type: "base64";
  readonly media_type: string;
  readonly data: string;
}

/** Whether the value is the source of an image or a document in the Messages API. */
function isBase64Source(value: object): value is Base64Source {
  if (!("type" in value) || value.type !== "base64") return false;
  return (
    "media_type" in value && typeof value.media_type === "string" && "data" in value && typeof value.data === "string"
  );
}

export function isReference(value: unknown): value is ContentReference {
  return typeof value === "object" && value !== null && "$content" in value;
}
