import { z } from "zod";
import { RequestError } from "../http/request-error.ts";
import { parse } from "./requests.ts";

/** A time filter of a list: `created_at[gt]` and so on. Milliseconds since the epoch, bounds included. */
export interface TimeRange {
  readonly from?: number;
  readonly to?: number;
}

const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));

const timesSchema = z.object({
  gt: time.optional(),
  gte: time.optional(),
  lt: time.optional(),
  lte: time.optional(),
});

/** Reads the query of a list, in which arrays come as `name[]`, and refuses parameters that it does not know. */
export class ListQuery {
  readonly #query: URLSearchParams;

  /** @throws RequestError `MALFORMED_REQUEST` for a parameter that is not in `known` */
  constructor(url: string, known: readonly string[]) {
    this.#query = new URL(url).searchParams;
    for (const name of this.#query.keys()) {
      const bare = name.replace(/\[\w*\]$/, "");
      // The SDK marks its beta endpoints so.
      if (bare !== "beta" && !known.includes(bare)) {
        throw new RequestError("UNSUPPORTED", `The parameter \`${bare}\` is not supported by this list.`);
      }
    }
  }

  one(name: string): string | undefined {
    return this.#query.get(name) ?? undefined;
  }

  /** Returns the values of a parameter that may be repeated; undefined if there are none. */
  many(name: string): readonly string[] | undefined {
    const values = [...this.#query.getAll(`${name}[]`), ...this.#query.getAll(name)];
    return values.length === 0 ? undefined : values;
  }

  /** @throws RequestError `MALFORMED_REQUEST` */
  limit(most: number, otherwise: number): number {
    const given = this.one("limit");
    if (given === undefined) return otherwise;
    return Math.min(most, parse(z.object({ limit: z.coerce.number().int().min(1) }), { limit: given }).limit);
  }

  /** @throws RequestError `MALFORMED_REQUEST` */
  order(otherwise: "asc" | "desc"): "asc" | "desc" {
    return parse(
      z.object({ order: z.enum(["asc", "desc"]).default(otherwise) }),
      withoutNull({ order: this.one("order") }),
    ).order;
  }

  /** @throws RequestError `MALFORMED_REQUEST` */
  created(): TimeRange {
    const given = ["gt", "gte", "lt", "lte"].map((bound) => [bound, this.one(`created_at[${bound}]`)]);
    const { gt, gte, lt, lte } = parse(timesSchema, withoutNull(Object.fromEntries(given)));
    const from = Math.max(gt === undefined ? Number.NEGATIVE_INFINITY : gt + 1, gte ?? Number.NEGATIVE_INFINITY);
    const to = Math.min(lt === undefined ? Number.POSITIVE_INFINITY : lt - 1, lte ?? Number.POSITIVE_INFINITY);
    return { ...(Number.isFinite(from) && { from }), ...(Number.isFinite(to) && { to }) };
  }
}

function withoutNull(fields: Readonly<Record<string, string | undefined>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Whether a time is in the range. */
export function isInRange({ from, to }: TimeRange, at: number): boolean {
  return (from === undefined || at >= from) && (to === undefined || at <= to);
}
