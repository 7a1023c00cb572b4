import type { WirePrompt } from "../../wire/prompt.ts";
import { bytesText } from "./format.ts";
import { plain } from "./shown-name.ts";

/** An image of a prompt that is being written. */
export interface DraftImage {
  readonly name: string;
  readonly type: string;
  /** In base64. */
  readonly data: string;
}

/** A prompt that is being written. */
export interface Draft {
  readonly text: string;
  readonly images: readonly DraftImage[];
  /** The idempotency key of a try that may have been accepted, so that another try of the same prompt is the same turn. */
  readonly key?: string | undefined;
}

export const EMPTY_DRAFT: Draft = { text: "", images: [] };

/** What the library accepts: the most characters of a prompt, with its images in base64. */
export const MOST_CHARACTERS = 20_000_000;

/** What every model accepts. */
export const MOST_IMAGES = 100;

/** What file pickers offer. */
export const IMAGE_TYPES = "image/png,image/jpeg,image/gif,image/webp";

/** What the limits are, for people. */
export const IMAGE_LIMITS = `PNG, JPEG, GIF or WebP, together up to ${bytesText((MOST_CHARACTERS / 4) * 3)}`;

/** Returns the draft with other content: another prompt than the one that was tried. */
export function edited(draft: Draft, changes: Partial<Pick<Draft, "text" | "images">>): Draft {
  return { ...draft, ...changes, key: undefined };
}

/** Returns what a sent draft leaves behind, with the images that were added while it was on its way. */
export function withAdded(left: Draft, sent: Draft, now: Draft): Draft {
  const added = now.images.filter((image) => !sent.images.includes(image));
  return added.length === 0 ? left : edited(left, { images: [...left.images, ...added] });
}

/** Whether there is nothing to send. */
export function isEmpty({ text, images }: Draft): boolean {
  return images.length === 0 && text.trim() === "";
}

/** Returns the prompt of a draft: the images stand before the text, as the models' documentation recommends. */
export function promptOf({ text, images }: Draft): WirePrompt {
  if (images.length === 0) return text;
  const blocks = images.map(({ type, data }) => ({
    type: "image" as const,
    source: { type: "base64", media_type: type, data },
  }));
  return text.trim() === "" ? blocks : [...blocks, { type: "text" as const, text }];
}

/** Returns the type of an image by its first bytes, whatever the name of its file ends with; undefined if it is none that models accept. */
export function imageType(data: string): string | undefined {
  const head = atob(data.slice(0, 16));
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (head.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (/^GIF8[79]a/.test(head)) return "image/gif";
  return /^RIFF.{4}WEBP/s.test(head) ? "image/webp" : undefined;
}

/** A file as a browser has read it. */
export interface ReadFile {
  readonly name: string;
  /** In base64. */
  readonly data: string;
}

/** Adds the files that fit, and tells of the others. */
export function withFiles(
  draft: Draft,
  files: readonly ReadFile[],
): { readonly draft: Draft; readonly problems: readonly string[] } {
  const images = [...draft.images];
  const problems: string[] = [];
  let characters = charactersOf(draft);
  for (const { name, data } of files) {
    const type = imageType(data);
    if (type === undefined) problems.push(`${plain(name)} is no PNG, JPEG, GIF or WebP image.`);
    else if (images.length >= MOST_IMAGES)
      problems.push(`${plain(name)} is one too many: a prompt takes ${MOST_IMAGES} images.`);
    else if (characters + data.length > MOST_CHARACTERS) problems.push(tooLarge(name, characters + data.length));
    else {
      characters += data.length;
      images.push({ name, type, data });
    }
  }
  return { draft: images.length === draft.images.length ? draft : edited(draft, { images }), problems };
}

/** Returns why a file is not even worth reading, if so. */
export function fileProblem({ name, size }: { readonly name: string; readonly size: number }): string | undefined {
  const characters = Math.ceil(size / 3) * 4;
  return characters > MOST_CHARACTERS ? tooLarge(name, characters) : undefined;
}

/** Returns why the server would refuse the draft, if so. */
export function draftProblem(draft: Draft): string | undefined {
  const characters = charactersOf(draft);
  if (characters <= MOST_CHARACTERS) return undefined;
  return `The prompt is too long: it has ${characters.toLocaleString("en")} of at most ${MOST_CHARACTERS.toLocaleString("en")} characters.`;
}

function charactersOf({ text, images }: Draft): number {
  return text.length + images.reduce((sum, { data }) => sum + data.length, 0);
}

function tooLarge(name: string, characters: number): string {
  const bytes = (count: number): string => bytesText((count / 4) * 3);
  return `${plain(name)} does not fit: a prompt takes ${bytes(MOST_CHARACTERS)} of images, and with it has ${bytes(characters)}.`;
}
