import { z } from "zod";
import type { ShownPiece } from "../../claude/messages/shown.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { TurnEnd } from "./reply.ts";

/**
 * How much of a turn's output to keep besides its answer, in characters of JSON. The record has the output too, but may lose it before
 * the turn: retention limits events and turns apart, and damage can meet either.
 */
const MOST_KEPT = 65_536;

/** Pieces as the journal keeps them. The answer is part of the reply. */
const keptSchema = z.array(
  z.discriminatedUnion("type", [
    z.object({ type: z.enum(["text", "thinking"]), text: z.string() }),
    z.object({
      type: z.literal("tool_use"),
      id: z.string(),
      name: z.string(),
      input: z.unknown(),
      parentToolUseId: z.string().exactOptional(),
    }),
    z.object({ type: z.literal("lost") }),
    z.object({ type: z.literal("reply") }),
  ]),
);

/**
 * Returns what to keep of a turn's output: all of it, or its beginning and its answer.
 *
 * @param answer the text of the turn's reply, if it has one
 */
export function keptOf(shown: readonly ShownPiece[], answer: string | undefined): JsonObject[] {
  const kept: JsonObject[] = [];
  let left = MOST_KEPT;
  const keep = (piece: ShownPiece): void => {
    if (left < 0) return;
    const json = JSON.stringify(piece);
    left = piece.type === "lost" ? -1 : left - json.length;
    // Parse a copy, because a caller may change the input of a tool.
    kept.push(left < 0 ? { type: "lost" } : (JSON.parse(json) as JsonObject));
  };
  const last = shown.findLastIndex(({ type }) => type === "text");
  for (const [index, piece] of shown.entries()) {
    const ending = index === last && piece.type === "text" && answer !== undefined && piece.text.endsWith(answer);
    if (!ending) keep(piece);
    else {
      const before = piece.text.slice(0, piece.text.length - answer.length);
      if (before !== "") keep({ type: "text", text: before });
      kept.push({ type: "reply" });
    }
  }
  return kept;
}

/** Returns the output that an outcome from the journal contains; `end` is the end read from the same outcome. */
export function shownIn(outcome: JsonObject | undefined, end: TurnEnd): ShownPiece[] {
  const { success, data } = keptSchema.safeParse(outcome?.["shown"]);
  if (!success) return knownOf(end);
  return data.flatMap((piece): ShownPiece[] => {
    if (piece.type !== "reply") return [piece];
    return "reply" in end ? textOf(end.reply.text) : [];
  });
}

/** Returns the output of a turn whose outcome an earlier release wrote without it. */
function knownOf(end: TurnEnd): ShownPiece[] {
  if ("reply" in end) return [{ type: "lost" }, ...textOf(end.reply.text)];
  const { partialText, toolUses } = { partialText: "", toolUses: [], ...end.error.details };
  return partialText === "" && toolUses.length === 0 ? [] : [...textOf(partialText), { type: "lost" }];
}

function textOf(text: string): ShownPiece[] {
  return text === "" ? [] : [{ type: "text", text }];
}
