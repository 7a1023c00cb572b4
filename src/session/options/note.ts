import { z } from "zod";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import { metadataSchema } from "./metadata.ts";
import { validate } from "./validation.ts";

/** An entry of the application's own in the record of a session. */
export interface NoteOptions {
  /** What the entry is about, in the application's own words, up to 64 characters. */
  readonly kind: string;
  /** A JSON object of up to 16 kB. */
  readonly data?: JsonObject;
  /** The person or program that it comes from, in the application's own words, up to 256 characters. */
  readonly by?: string;
}

const schema = z.strictObject({
  kind: z.string().min(1).max(64),
  data: metadataSchema.exactOptional(),
  by: z.string().min(1).max(256).exactOptional(),
});

/** Checks an entry. @throws CastellanError `INVALID_OPTIONS` */
export function checkNote(note: NoteOptions): NoteOptions {
  return validate(schema, note, "note");
}
