import { randomUUID } from "node:crypto";

/** The size of a write in characters: the capacity of a pipe on Linux. */
const CHUNK = 65_536;

const BEGINNING = [
  { type: "message_start", message: { id: "msg_bench", type: "message", role: "assistant", content: [] } },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
];

/** The number of pieces in a prompt such as `Stream 2000 pieces.`; 0 for other prompts. */
export function piecesAsked(prompt: string): number {
  return Number(/^Stream (\d+) pieces/.exec(prompt)?.[1] ?? 0);
}

/** Whether a prompt such as `Stream 2000 pieces of a message.` wants the events that begin a message before the pieces. */
export function asksMessage(prompt: string): boolean {
  return /^Stream \d+ pieces of a message/.test(prompt);
}

/** The lines of a text streamed in `count` pieces, joined into chunks. Without `begins`, Castellan does not record the text. */
export function* pieces(count: number, sessionId: string, begins = false): Generator<string, void, undefined> {
  const lineOf = (event: object): string =>
    JSON.stringify({
      type: "stream_event",
      event,
      parent_tool_use_id: null,
      api_message_id: "msg_bench",
      session_id: sessionId,
      uuid: "-",
    });
  const delta = { type: "text_delta", text: "one word of a text " };
  const [before = "", after = ""] = lineOf({ type: "content_block_delta", index: 0, delta }).split('"-"');
  let chunk = begins ? BEGINNING.map((event) => `${lineOf(event).replace('"-"', `"${randomUUID()}"`)}\n`).join("") : "";
  for (let piece = 0; piece < count; piece++) {
    chunk += `${before}"${randomUUID()}"${after}\n`;
    if (chunk.length < CHUNK) continue;
    yield chunk;
    chunk = "";
  }
  if (chunk !== "") yield chunk;
}
