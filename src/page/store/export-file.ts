import type { CastellanClient } from "../../client/index.ts";
import { isGlobalName, type Name } from "./name.ts";

/** Names that Windows keeps for devices. */
const RESERVED = /^(?:con|prn|aux|nul|com\d|lpt\d)$/i;

/** The most characters of a session's name in that of a file. */
const LONGEST = 80;

/** Returns the name of an export's file, which every system accepts: `support-42-2026-11-30.jsonl`. */
export function exportFileName(name: Name, day: string): string {
  const local = isGlobalName(name) ? name.global : name;
  const parts = typeof local === "string" ? [local] : local;
  const safe = parts
    .join("-")
    .normalize("NFKC")
    .replace(/[^\p{L}\p{N}_-]+/gu, "-")
    .replace(/^-+|-+$/g, "");
  const short = [...safe].slice(0, LONGEST).join("");
  return `${short === "" || RESERVED.test(short) ? "session" : short}-${day}.jsonl`;
}

/** Lines are handed to the browser in pieces of so many characters. It keeps large ones on the disk. */
const PIECE = 1_000_000;

/**
 * Reads the export of a session.
 *
 * @param progress gets the number of characters so far
 * @throws CastellanApiError also if the export breaks off, so that nobody takes a part for the whole; the reason of an aborted signal
 */
export async function readExport(
  client: CastellanClient,
  name: Name,
  progress: (characters: number) => void,
  signal: AbortSignal,
): Promise<Blob> {
  const pieces: Blob[] = [];
  let piece = "";
  let characters = 0;
  for await (const line of client.session(name).export({ signal })) {
    piece += `${line}\n`;
    if (piece.length < PIECE) continue;
    characters += piece.length;
    pieces.push(new Blob([piece]));
    piece = "";
    progress(characters);
  }
  return new Blob([...pieces, piece], { type: "application/x-ndjson" });
}
