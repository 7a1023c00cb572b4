import type { z } from "zod";
import { RequestError } from "../http/request-error.ts";

/** Returns a token for `page`, which clients send back unread. */
export function pageToken(place: object): string {
  return Buffer.from(JSON.stringify(place)).toString("base64url");
}

/** Reads a token of {@link pageToken}. @throws RequestError `MALFORMED_REQUEST` */
export function readPageToken<Place>(token: string, schema: z.ZodType<Place>): Place {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(token, "base64url").toString());
  } catch {
    value = undefined;
  }
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  throw new RequestError("MALFORMED_REQUEST", "`page` is not a cursor of this list.");
}
