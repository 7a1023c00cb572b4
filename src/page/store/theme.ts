/** The colours: those of the system, or always light or dark. */
export type Theme = "system" | "light" | "dark";

const KEY = "castellan-theme";

/** Returns what this browser was last set to. */
export function savedTheme(): Theme {
  try {
    const saved = localStorage.getItem(KEY);
    return saved === "light" || saved === "dark" ? saved : "system";
  } catch {
    // The browser keeps nothing for this page.
    return "system";
  }
}

/** Shows the page in these colours, and remembers them. */
export function applyTheme(theme: Theme): void {
  document.documentElement.dataset["theme"] = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // They hold until the page is left.
  }
}
