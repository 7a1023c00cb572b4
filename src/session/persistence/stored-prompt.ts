import { isDeepStrictEqual } from "node:util";
import { CastellanError } from "../../errors.ts";
import type { ContentEntry } from "../../journal/model/event-entry.ts";
import type { Json } from "../../journal/model/session-entry.ts";
import type { PromptKind, StoredPromptKind, TurnEntry } from "../../journal/model/turn-entry.ts";
import type { PromptText } from "../options/prompt.ts";
import type { PromptBlock } from "../options/prompt-block.ts";
import { textOf } from "../options/prompt-blocks.ts";
import { type ContentReference, extractContents, isReference } from "../record/content.ts";
import type { TurnRecord } from "../streams/turn-record.ts";

/** The prompt of a turn, as its row in the journal has it. */
export type PromptRow = Pick<TurnEntry, "prompt" | "promptKind">;

/** The prompt of a turn, as the turn has it. */
type HeldPrompt = Pick<TurnRecord, "prompt" | "promptKind" | "promptBlocks">;

/** Reads a content of the journal. */
type ReadContent = (hash: string) => Promise<ContentEntry | undefined>;

/** A prompt in the form that the journal stores. */
export interface StoredPrompt {
  readonly row: PromptRow;
  /** The text or the blocks, with references in place of large and binary parts. */
  readonly json: Json;
  /** What the references refer to. */
  readonly contents: readonly ContentEntry[];
}

/** The JSON of a row. */
interface JsonRow {
  /** The beginning of the text, for lists of turns. */
  readonly beginning: string;
  /** The text or the blocks, with references. */
  readonly content: Json;
}

/** How many characters of the text a row with references has. */
const BEGINNING = 1_000;

function beginningOf(text: string): string {
  const beginning = text.slice(0, BEGINNING);
  // The cut may be within a surrogate pair.
  return beginning.isWellFormed() ? beginning : beginning.slice(0, -1);
}

/** Takes the large and binary parts out of a prompt, so that its turn and its event share them. */
export function storedPrompt({ prompt, promptKind, promptBlocks }: HeldPrompt): StoredPrompt {
  const { body, contents } = extractContents(
    { prompt: promptBlocks ?? prompt },
    { mostStored: Number.POSITIVE_INFINITY },
  );
  const json = body["prompt"] ?? null;
  if (typeof json === "string") {
    return { row: { prompt: json, ...(promptKind !== "text" && { promptKind }) }, json, contents };
  }
  const row: JsonRow = { beginning: beginningOf(prompt), content: json };
  return { row: { prompt: JSON.stringify(row), promptKind: `${promptKind}_json` }, json, contents };
}

/**
 * Returns the prompt of a journal's turn.
 *
 * @param content returns a content of the journal
 * @throws CastellanError `JOURNAL_UNAVAILABLE` if a content is gone, and what `content` throws
 */
export async function loadPrompt(turn: PromptRow & Pick<TurnEntry, "id">, content: ReadContent): Promise<PromptText> {
  const kind = kindOf(turn);
  if (!isJson(turn)) return { text: turn.prompt, kind };
  // Parts with the same content share it.
  const known = new Map<string, unknown>();
  const read = async (reference: ContentReference): Promise<unknown> => {
    const { $content } = reference;
    if (!known.has($content)) known.set($content, await decoded(reference));
    return known.get($content);
  };
  const decoded = async ({ $content, mediaType }: ContentReference): Promise<unknown> => {
    const found = await content($content);
    if (found === undefined) throw gone(turn.id, $content);
    const data = Buffer.from(found.data.buffer, found.data.byteOffset, found.data.byteLength);
    if (mediaType === "text/plain") return data.toString("utf8");
    return mediaType === "application/json" ? await whole(JSON.parse(data.toString("utf8"))) : data.toString("base64");
  };
  const whole = async (value: unknown): Promise<unknown> => {
    if (typeof value !== "object" || value === null) return value;
    if (isReference(value)) return await read(value);
    if (Array.isArray(value)) {
      const items: unknown[] = [];
      for (const item of value) items.push(await whole(item));
      return items;
    }
    const copy: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(value)) copy[name] = await whole(field);
    return copy;
  };
  const held = await whole((JSON.parse(turn.prompt) as JsonRow).content);
  if (typeof held === "string") return { text: held, kind };
  // The session had checked them.
  const blocks = held as readonly PromptBlock[];
  return { text: textOf(blocks), kind, blocks };
}

/** Returns a prompt in the form of a turn. */
export function heldPrompt({ text: prompt, kind: promptKind, blocks: promptBlocks }: PromptText): HeldPrompt {
  return { prompt, promptKind, promptBlocks };
}

/** Returns a prompt in the form that a job stores: whole, because contents belong to turns and events. */
export function jobPrompt({ text, kind, blocks }: PromptText): PromptRow {
  if (blocks === undefined) return { prompt: text, ...(kind !== "text" && { promptKind: kind }) };
  return { prompt: JSON.stringify({ beginning: beginningOf(text), content: blocks }), promptKind: `${kind}_json` };
}

/** Returns the prompt of a job. */
export function promptOfJob(job: PromptRow): PromptText {
  const kind = kindOf(job);
  if (!isJson(job)) return { text: job.prompt, kind };
  // The session had checked them.
  const { content: blocks } = JSON.parse(job.prompt) as { readonly content: readonly PromptBlock[] };
  return { text: textOf(blocks), kind, blocks };
}

/** Returns what the row alone has of a prompt: of a large text, and of blocks, the beginning of the text. */
export function smallPartOf(turn: PromptRow): PromptText {
  const text = isJson(turn) ? (JSON.parse(turn.prompt) as JsonRow).beginning : turn.prompt;
  return { text, kind: kindOf(turn) };
}

/** Returns the hashes of the contents to which a row refers, directly or in another content, each once. */
export async function hashesIn(turn: PromptRow, content: ReadContent): Promise<string[]> {
  const found = new Set<string>();
  const search = async (json: string): Promise<void> => {
    const references: ContentReference[] = [];
    JSON.parse(json, (_, value: unknown) => {
      if (isReference(value)) references.push(value);
      return value;
    });
    for (const { $content: hash, mediaType } of references) {
      if (found.has(hash)) continue;
      found.add(hash);
      const inner = mediaType === "application/json" ? await content(hash) : undefined;
      if (inner !== undefined) await search(new TextDecoder().decode(inner.data));
    }
  };
  if (isJson(turn)) await search(turn.prompt);
  return [...found];
}

/** Whether the turn has this prompt. */
export function isSame({ prompt, promptKind, promptBlocks }: HeldPrompt, asked: PromptText): boolean {
  return prompt === asked.text && promptKind === asked.kind && isDeepStrictEqual(promptBlocks, asked.blocks);
}

/** Whether the journal's turn has this prompt. Compares large parts by their hashes. */
export function isOf(turn: PromptRow, held: HeldPrompt): boolean {
  if (kindOf(turn) !== held.promptKind) return false;
  return isJson(turn)
    ? turn.prompt === storedPrompt(held).row.prompt
    : held.promptBlocks === undefined && turn.prompt === held.prompt;
}

const KINDS: { readonly [Stored in StoredPromptKind]: PromptKind } = {
  text: "text",
  text_json: "text",
  command: "command",
  command_json: "command",
  typed: "typed",
  typed_json: "typed",
};

/** A kind of a later release counts as text. */
function kindOf({ promptKind = "text" }: PromptRow): PromptKind {
  return Object.hasOwn(KINDS, promptKind) ? KINDS[promptKind] : "text";
}

function isJson({ promptKind = "text" }: PromptRow): boolean {
  return promptKind.endsWith("_json");
}

function gone(turn: string, hash: string): CastellanError<"JOURNAL_UNAVAILABLE"> {
  const message = `The journal is damaged: it lacks the content ${hash} of the prompt of turn ${turn}. Restore a backup.`;
  return new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "damaged" } });
}
