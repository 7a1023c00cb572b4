/* An application without free file descriptors that locks a conversation and prints the outcome. */
import { closeSync, openSync } from "node:fs";
import { lockConversation } from "../../src/claude/conversation-lock.ts";
import { formatMarker, thisOwner } from "../../src/claude/marker.ts";
import { fileLocks } from "../../src/journal/sqlite/file-lock.ts";

const [home = "", id = ""] = process.argv.slice(2);
const marker = formatMarker(thisOwner(), "without files");
await fileLocks();
// One descriptor is left for the guard, and none for the lock.
const opened: number[] = [];
try {
  for (;;) opened.push(openSync("/dev/null", "r"));
} catch {
  const last = opened.pop();
  if (last !== undefined) closeSync(last);
}
const answer = await lockConversation(id, marker, home).then(
  () => "held",
  (error: unknown) => String(error),
);
for (const file of opened) closeSync(file);
process.stdout.write(answer);
