import type { Strategy } from "./supervisor-spec.ts";

/**
 * Who is restarted when `ended` is to be restarted: itself and whom the strategy adds, in start order.
 * `inOrder` are all the children of the supervisor in start order.
 */
export function restartedWith<T>(strategy: Strategy, inOrder: Iterable<T>, ended: T): T[] {
  switch (strategy) {
    case "one_for_one":
      return [ended];
    case "one_for_all":
      return [...inOrder];
    case "rest_for_one": {
      const all = [...inOrder];
      return all.slice(all.indexOf(ended));
    }
  }
}
