/** What Enter does in the prompt: it sends, or it breaks the line. */
export type EnterKey = "sends" | "breaks";

const KEY = "castellan-enter";

/** Returns what this browser was last set to. @param usual the default */
export function savedEnterKey(usual: EnterKey): EnterKey {
  try {
    const saved = localStorage.getItem(KEY);
    return saved === "sends" || saved === "breaks" ? saved : usual;
  } catch {
    // The browser keeps nothing for this page.
    return usual;
  }
}

/** Remembers what Enter does. */
export function saveEnterKey(key: EnterKey): void {
  try {
    localStorage.setItem(KEY, key);
  } catch {
    // It holds until the page is left.
  }
}

/** What counts of a press of a key. */
export interface KeyPress {
  readonly key: string;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  readonly isComposing: boolean;
}

/** Whether a key press sends the prompt. Ctrl+Enter and ⌘+Enter always do. */
export function isSending(key: EnterKey, event: KeyPress): boolean {
  // An input method takes the key to choose a word.
  if (event.key !== "Enter" || event.isComposing || event.shiftKey || event.altKey) return false;
  return key === "sends" || event.ctrlKey || event.metaKey;
}
