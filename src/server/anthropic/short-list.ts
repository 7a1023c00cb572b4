import { z } from "zod";
import type { ListQuery } from "./list-query.ts";
import { pageToken, readPageToken } from "./page-token.ts";

const offsetSchema = z.strictObject({ offset: z.int().min(0) });

/** A page of a list. */
export interface ListPage<Item> {
  readonly data: readonly Item[];
  readonly next_page: string | null;
}

/** Returns a page of a list that is in memory. @throws RequestError `MALFORMED_REQUEST` */
export function pageOf<One, Item>(query: ListQuery, all: readonly One[], show: (one: One) => Item): ListPage<Item> {
  const page = query.one("page");
  const { offset } = page === undefined ? { offset: 0 } : readPageToken(page, offsetSchema);
  const end = offset + query.limit(100, 20);
  const data = all.slice(offset, end).map((one) => show(one));
  return { data, next_page: end < all.length ? pageToken({ offset: end }) : null };
}
