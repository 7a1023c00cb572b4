/* Another application, which locks the conversation of each input line and prints the outcome. */
import { createInterface } from "node:readline";
import { lockConversation } from "../../src/claude/conversation-lock.ts";
import { formatMarker, thisOwner } from "../../src/claude/marker.ts";

const [home = ""] = process.argv.slice(2);
for await (const id of createInterface({ input: process.stdin })) {
  const answer = await lockConversation(id, formatMarker(thisOwner(), "other"), home).then(
    () => "held",
    (error: unknown) => String(error),
  );
  process.stdout.write(`${answer}\n`);
}
