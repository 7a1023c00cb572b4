/* One of many processes that lock a few conversations over and over. What it does stands in a log that all append to. */
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
    // Long enough, now and then, to be killed over it.
    await (Math.random() < 0.05 ? delay(20) : next());
    say("still", conversation);
    await next();
    say("leaves", conversation);
    await lock.release();
  }
  await next();
}
