import { z } from "zod";

/** A place in the translated record of a session: after the `sub`-th event, from 1, of a recorded event. */
export interface Place {
  readonly number: number;
  readonly sub: number;
}

export const placeSchema: z.ZodType<Place> = z.strictObject({ number: z.int().min(0), sub: z.int().min(0) });

/** The place of a stream, and the numbers of the tool calls before it that it has not sent yet. */
export interface StreamPlace extends Place {
  readonly held: readonly number[];
}

/** How many tool calls of a stream may be held over a reconnection. */
const MOST_HELD = 64;

/** Formats a place for the `id` of a server-sent event. */
export function formatPlace({ number, sub, held }: StreamPlace): string {
  return `${number}.${sub}${held.length === 0 ? "" : `~${held.slice(0, MOST_HELD).join(".")}`}`;
}

/** Reads the id of a server-sent event; undefined if it is not one of {@link formatPlace}. */
export function readPlace(id: string): StreamPlace | undefined {
  const [, number, sub, held = ""] = /^(\d{1,10})\.(\d{1,4})(?:~(\d{1,10}(?:\.\d{1,10}){0,63}))?$/.exec(id) ?? [];
  if (number === undefined) return undefined;
  return { number: Number(number), sub: Number(sub), held: held === "" ? [] : held.split(".").map(Number) };
}
