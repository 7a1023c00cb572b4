import { setImmediate as nextRound } from "node:timers/promises";

/** Takes a millisecond or two. */
const AT_ONCE = 16;

/** Works on the items one after the other. Lets the event loop run in between, so that ten thousand items do not block it. */
export async function paced<Item>(items: Iterable<Item>, work: (item: Item) => void | Promise<void>): Promise<void> {
  let done = 0;
  for (const item of items) {
    await work(item);
    done += 1;
    if (done % AT_ONCE === 0) await nextRound();
  }
}
