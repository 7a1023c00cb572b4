/** What a single key does on the page of approvals. */
export type Shortcut =
  | { readonly does: "next" | "previous" | "allow" | "deny" | "edit" | "question" | "other" | "help" | "leave" }
  | { readonly does: "number"; readonly number: number };

/** A key press, and where it happens. */
export interface KeyPress {
  readonly key: string;
  /** Whether Ctrl, Alt or Meta is held. */
  readonly modified: boolean;
  /** Whether the key is held down and repeats. */
  readonly repeated: boolean;
  /** `text`: somebody types there. `moving`: the arrow keys have a meaning there, such as scrolling. */
  readonly where: "page" | "text" | "moving";
}

/** The keys, in the order of the help. */
export const KEYS: readonly (readonly [keys: readonly string[], meaning: string])[] = [
  [["j", "↓"], "Go to the next open approval"],
  [["k", "↑"], "Go to the previous open approval"],
  [["a"], "Allow, or send the answers"],
  [["d"], "Deny. The page asks for the reason; Enter sends it"],
  [["e"], "Change the input before allowing it. Ctrl and Enter allow"],
  [["1", "…", "9"], "Tick a suggestion, or choose an answer"],
  [["n"], "Go to the next question of this approval"],
  [["o"], "Answer in your own words"],
  [["Esc"], "Leave a field without sending it"],
  [["?"], "Show these keys"],
];

const MOVES = { j: "next", k: "previous", ArrowDown: "next", ArrowUp: "previous" } as const;
const LETTERS = { a: "allow", d: "deny", e: "edit", n: "question", o: "other", "?": "help" } as const;

/** Returns what a key does, or undefined if it is none of the page's. */
export function shortcutOf({ key, modified, repeated, where }: KeyPress): Shortcut | undefined {
  if (modified) return undefined;
  if (key === "Escape") return { does: "leave" };
  if (where === "text") return undefined;
  if (Object.hasOwn(MOVES, key)) {
    if (where === "moving" && key.startsWith("Arrow")) return undefined;
    return { does: MOVES[key as keyof typeof MOVES] };
  }
  // A key that is held down must not decide about one approval after the other.
  if (repeated) return undefined;
  if (Object.hasOwn(LETTERS, key)) return { does: LETTERS[key as keyof typeof LETTERS] };
  return /^[1-9]$/.test(key) ? { does: "number", number: Number(key) } : undefined;
}

const STORED = "castellan-shortcuts";

/** Whether single keys act. People who dictate turn them off. */
export function shortcutsOn(): boolean {
  try {
    return localStorage.getItem(STORED) !== "off";
  } catch {
    // The browser keeps nothing for this page.
    return true;
  }
}

/** Turns single keys on or off, and remembers it. */
export function setShortcuts(on: boolean): void {
  try {
    localStorage.setItem(STORED, on ? "on" : "off");
  } catch {
    // It holds until the page is left.
  }
}
