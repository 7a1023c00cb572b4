import { type Draft, type DraftImage, EMPTY_DRAFT } from "./prompt-draft.ts";

/* Prompts that are being written, by session. They outlive the page in the tab's storage: the text, and images as far as it has room. */

const PREFIX = "castellan-draft ";

const known = new Map<string, Draft>();

/** A draft as the tab kept it. */
export interface KeptDraft {
  readonly draft: Draft;
  /** How many images had no room. */
  readonly lost: number;
}

/** Returns the draft of a session. @param id names the session and its server */
export function keptDraft(id: string): KeptDraft {
  const here = known.get(id);
  return here === undefined
    ? readDraft(stored(`${PREFIX}${id}`), stored(`${PREFIX}${id} images`))
    : { draft: here, lost: 0 };
}

/** Keeps the draft of a session, or forgets an empty one. */
export function keepDraft(id: string, draft: Draft): void {
  const before = known.get(id);
  known.set(id, draft);
  const { text, images, key } = draft;
  const isEmpty = text === "" && images.length === 0;
  store(`${PREFIX}${id}`, isEmpty ? undefined : JSON.stringify({ text, key, images: images.length }));
  if (before?.images !== images)
    store(`${PREFIX}${id} images`, images.length === 0 ? undefined : JSON.stringify(images));
}

/** Forgets all drafts, because another person may use the tab next. */
export function forgetDrafts(): void {
  known.clear();
  try {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(PREFIX)) sessionStorage.removeItem(key);
  } catch {
    // The browser keeps nothing for this page.
  }
}

/** Returns the draft of two stored texts. What is no draft is none. */
export function readDraft(kept: string | null, keptImages: string | null): KeptDraft {
  const { text, key, images: count } = recordOf(kept);
  if (typeof text !== "string") return { draft: EMPTY_DRAFT, lost: 0 };
  const images = imagesOf(keptImages);
  return {
    draft: { text, images, ...(typeof key === "string" && { key }) },
    lost: typeof count === "number" ? Math.max(0, count - images.length) : 0,
  };
}

function recordOf(text: string | null): { readonly [field: string]: unknown } {
  const value = parsed(text);
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function imagesOf(text: string | null): DraftImage[] {
  const value = parsed(text);
  if (!Array.isArray(value)) return [];
  return value.filter(
    (image): image is DraftImage =>
      typeof image === "object" && ["name", "type", "data"].every((field) => typeof image?.[field] === "string"),
  );
}

function parsed(text: string | null): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return undefined;
  }
}

function stored(key: string): string | null {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

function store(key: string, value: string | undefined): void {
  try {
    sessionStorage.removeItem(key);
    if (value !== undefined) sessionStorage.setItem(key, value);
  } catch {
    // It has no room: the draft is kept as long as the page is open.
  }
}
