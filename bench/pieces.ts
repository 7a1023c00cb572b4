import { randomUUID } from "node:crypto";

/** The size of a write in characters: the capacity of a pipe on Linux. */
const CHUNK = 65_536;

/** The number of pieces in a prompt such as `Stream 2000 pieces.`; 0 for other prompts. */
export function piecesAsked(prompt: string): number {
  return Number(/^Stream (\d+) pieces/.exec(prompt)?.[1] ?? 0);
}

/** The lines of a text streamed in `count` pieces, joined into chunks. */
export function* pieces(count: number, sessionId: string): Generator<string, void, undefined> {
  const event = { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "one word of a text " } };
  const [before = "", after = ""] = JSON.stringify({
    type: "stream_event",
    event,
    parent_tool_use_id: null,
    api_message_id: "msg_bench",
    session_id: sessionId,
    uuid: "-",
  }).split('"-"');
  let chunk = "";
  for (let piece = 0; piece < count; piece++) {
    chunk += `${before}"${randomUUID()}"${after}\n`;
    if (chunk.length < CHUNK) continue;
    yield chunk;
    chunk = "";
  }
  if (chunk !== "") yield chunk;
}
