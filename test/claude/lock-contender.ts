/* One of several processes that lock a few conversations over and over, and log it to one file. */
import { appendFileSync } from "node:fs";
import { setTimeout as delay, setImmediate as next } from "node:timers/promises";
import { lockConversation } from "../../src/claude/conversation-lock.ts";
import { formatMarker, thisOwner } from "../../src/claude/marker.ts";

const [home = "", log = "", ...conversations] = process.argv.slice(2);
const say = (what: string, conversation: string): void =>
  appendFileSync(log, `${what} ${conversation} ${process.pid}\n`);

for (let round = 0; ; round++) {
  const conversation = conversations[(process.pid + round) % conversations.length] ?? "";
  const lock = await lockConversation(conversation, formatMarker(thisOwner(), String(round)), home).catch(
    () => undefined,
  );
  if (lock !== undefined) {
    say("holds", conversation);
    // Holds the lock long enough, now and then, to be killed meanwhile.
    await (Math.random() < 0.05 ? delay(20) : next());
    say("still", conversation);
    await next();
    say("leaves", conversation);
    await lock.release();
  }
  await next();
}
