import { type Signal, signal } from "@preact/signals";

/** Where the page is: the path below the base, and the query. */
export interface Place {
  readonly path: string;
  readonly query: string;
}

/** The address bar. */
export class Navigation {
  readonly place: Signal<Place>;
  readonly base: string;

  constructor(base: string) {
    this.base = base;
    this.place = signal(this.#read());
    globalThis.addEventListener("popstate", () => {
      this.place.value = this.#read();
    });
    document.addEventListener("click", (event) => this.#clicked(event));
  }

  /** Returns the address of a path, for links. */
  href(path: string, query = ""): string {
    return `${this.base}${path}${query}`;
  }

  /** Goes to a path. @param replace whether the back button skips the current address, as while somebody types */
  go(path: string, query = "", { replace = false }: { readonly replace?: boolean } = {}): void {
    const url = this.href(path, query);
    if (replace) history.replaceState(null, "", url);
    else history.pushState(null, "", url);
    const moved = this.place.peek().path !== path;
    this.place.value = { path, query };
    if (!moved) return;
    scrollTo(0, 0);
    // A screen reader reads the new page from its heading on.
    requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true }));
  }

  #read(): Place {
    const { pathname, search } = location;
    return { path: pathname.slice(this.base.length) || "/", query: search };
  }

  /** Follows links within the page without loading it again. */
  #clicked(event: MouseEvent): void {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || event.defaultPrevented || event.button !== 0 || link.target !== "") return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.hasAttribute("download")) return;
    const { origin, pathname, search } = new URL(link.href);
    if (origin !== location.origin || !pathname.startsWith(`${this.base}/`)) return;
    event.preventDefault();
    this.go(pathname.slice(this.base.length), search);
  }
}
